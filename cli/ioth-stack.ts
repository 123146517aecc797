#!/usr/bin/env node
// ioth-stack: the stack server, started by ioth-run. Its stack thread is started before anything is loaded: the two then
// load side by side.
import { Worker } from 'node:worker_threads'

const thread = new Worker(new URL('../src/server/thread.js', import.meta.url))
const { serve } = await import('./serve.ts')
await serve(thread)
