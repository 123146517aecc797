// nginx with a configuration of the test's own.
import { execFileSync } from 'node:child_process'
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
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
  /** What clients are to trust; of TLS only. */
  readonly certificate: string
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
  /** Port 443, too, with HTTP/2, as www.lab. */
  tls?: boolean
}

const NGINX = existsSync('/usr/sbin/nginx') ? '/usr/sbin/nginx' : 'nginx'
export const PAGE = 'Hello. This is nginx.\n'

export function site(
  t: Test,
  { workers = 2, daemon = false, uid, tls = false }: SiteOptions = {},
): Site {
  const dir = mkdtempSync(join(tmpdir(), 'ioth-nginx-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }))
  const own = (path: string) => (uid === undefined ? undefined : chownSync(path, uid, uid))
  const config = join(dir, 'nginx.conf')
  const certificate = join(dir, 'certificate.pem')
  const key = join(dir, 'key.pem')
  if (tls) makeCertificate(certificate, key)
  const secure = `listen 443 ssl http2;
    listen [::]:443 ssl http2;
    ssl_certificate ${certificate};
    ssl_certificate_key ${key};`
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
    ${tls ? secure : ''}
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
    certificate,
    file: (name, size) => makeFile(join(dir, 'www', name), size),
    // By its path: it executes itself anew when it is told to (SIGUSR2).
    command: [NGINX, '-p', dir, '-e', join(dir, 'error.log'), '-c', config],
    ready: () =>
      until('nginx to listen', 20_000, () => {
        // nginx writes the file after it listens and before it has workers.
        const pid = Number(read(join(dir, 'pid')))
        return pid > 0 && children(pid).length >= workers && pid
      }),
    log: name => read(join(dir, `${name}.log`)),
  }
}

/** For www.lab and the addresses that nginx has in tests, signed by itself. */
function makeCertificate(certificate: string, key: string): void {
  const names = 'subjectAltName=DNS:www.lab,IP:10.0.0.5,IP:fd00::5'
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const subject = ['-subj', '/CN=www.lab', '-addext', names, '-days', '2']
  const words = ['req', '-x509', ...curve, '-keyout', key, '-out', certificate, ...subject]
  execFileSync('openssl', words, { stdio: 'ignore' })
}

/** nginx at `ip`, in the foreground, listening. */
export async function serveSite(
  t: Test,
  env: NodeJS.ProcessEnv,
  options: SiteOptions & { ip?: string; ip6?: string } = {},
): Promise<Site & { program: Program }> {
  const { ip = '10.0.0.5', ip6, ...siteOptions } = options
  const s = site(t, siteOptions)
  const six = ip6 === undefined ? [] : ['--ip', ip6]
  const program = start(t, IOTH_RUN, ['--ip', ip, ...six, ...s.command], { env })
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
