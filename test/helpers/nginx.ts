// nginx with a configuration of the test's own.
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Test } from 'tap'

import { makeFile } from './content.ts'
import { start, until, type Program } from './program.ts'
import { IOTH_RUN } from './ioth-run.ts'

/** A directory with a page, files, room for uploads, and nginx.conf. */
export interface Site {
  readonly dir: string
  readonly config: string
  /** Puts a file there; its SHA-256. */
  file(name: string, size: number): string
  /** `nginx -c CONFIG …` */
  readonly command: string[]
  /** The master's pid once it listens. */
  ready(): Promise<number>
  log(name: 'access' | 'error'): string
}

export interface SiteOptions {
  workers?: number
  daemon?: boolean
  /** Who owns it all; nginx is started as this user. */
  uid?: number
}

export const PAGE = 'Hello. This is nginx.\n'

export function site(t: Test, { workers = 2, daemon = false, uid }: SiteOptions = {}): Site {
  const dir = mkdtempSync(join(tmpdir(), 'ioth-nginx-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }))
  const own = (path: string) => (uid === undefined ? undefined : chownSync(path, uid, uid))
  const config = join(dir, 'nginx.conf')
  const user = process.geteuid?.() === 0 && uid === undefined ? 'user root;' : ''
  writeFileSync(
    config,
    `${user}
daemon ${daemon ? 'on' : 'off'};
worker_processes ${workers};
pid ${dir}/pid;
error_log ${dir}/error.log notice;
events { worker_connections 1024; }
http {
  log_format short '$pid $status $remote_addr $server_addr $request_uri';
  access_log ${dir}/access.log short;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000;
  client_max_body_size 0;
  client_body_temp_path ${dir}/body;
  proxy_temp_path ${dir}/proxy;
  fastcgi_temp_path ${dir}/fastcgi;
  uwsgi_temp_path ${dir}/uwsgi;
  scgi_temp_path ${dir}/scgi;
  server {
    listen 80;
    listen [::]:80;
    root ${dir}/www;
    location /copied/ { alias ${dir}/www/; sendfile off; }
    location /put/ { alias ${dir}/put/; dav_methods PUT; }
    location = /who { return 200 "$pid $remote_addr $server_addr\\n"; }
  }
}
`,
  )
  for (const name of ['www', 'put']) {
    mkdirSync(join(dir, name))
    own(join(dir, name))
  }
  own(dir)
  writeFileSync(join(dir, 'www/index.html'), PAGE)
  return {
    dir,
    config,
    file: (name, size) => makeFile(join(dir, 'www', name), size),
    command: ['nginx', '-p', dir, '-e', join(dir, 'error.log'), '-c', config],
    ready: () =>
      until('nginx to listen', 20_000, () => {
        // nginx writes the file after it listens and before it has workers.
        const pid = Number(read(join(dir, 'pid')))
        return pid > 0 && children(pid).length >= workers && pid
      }),
    log: name => read(join(dir, `${name}.log`)),
  }
}

/** nginx at `ip`, in the foreground, listening. */
export async function serveSite(
  t: Test,
  env: NodeJS.ProcessEnv,
  options: SiteOptions & { ip?: string } = {},
): Promise<Site & { program: Program }> {
  const { ip = '10.0.0.5', ...siteOptions } = options
  const s = site(t, siteOptions)
  const program = start(t, IOTH_RUN, ['--ip', ip, ...s.command], { env })
  await Promise.race([
    s.ready(),
    program.ended.then(({ stderr }) => {
      throw new Error(`nginx did not start: ${stderr}${s.log('error')}`)
    }),
  ])
  return { ...s, program }
}

/** The workers of a master. */
export function children(pid: number): number[] {
  return read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number)
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
