// A private PostgreSQL server on a Unix socket in a temporary folder.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { onExit, scratch } from './viraldb.mjs';

// Returns the folder of the server programs.
function programs() {
  const named = process.env.VIRALDB_TEST_POSTGRES_BIN;
  if (named) return named;
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root)
    ? readdirSync(root)
        .sort((a, b) => a - b)
        .reverse()
    : [];
  const found = versions.map((version) => join(root, version, 'bin')).find((bin) => existsSync(join(bin, 'initdb')));
  if (!found)
    throw new Error('PostgreSQL server programs not found; install them (Debian: apt-get install postgresql)');
  return found;
}

// Starts a server, which stops when the process ends. Returns a function that creates a database and returns its URL.
function start() {
  const bin = programs();
  const folder = scratch();
  chmodSync(folder, 0o755); // the user postgres works in it
  const socket = join(folder, 'pg');
  mkdirSync(socket);
  chmodSync(socket, 0o777);
  const data = join(socket, 'data');
  // PostgreSQL refuses to run as root.
  const run = (program, ...args) => {
    const command = [join(bin, program), ...args];
    const all = process.getuid() === 0 ? ['runuser', '-u', 'postgres', '--', ...command] : command;
    // The server keeps its output open, so the output must not be a pipe that is read to its end.
    execFileSync(all[0], all.slice(1), { cwd: socket, stdio: ['ignore', 'ignore', 'inherit'] });
  };
  run('initdb', '--auth=trust', '--no-sync', '--encoding=UTF8', '--locale=C', '--username=postgres', '-D', data);
  onExit(() => run('pg_ctl', '-D', data, '-m', 'immediate', 'stop'));
  run(
    'pg_ctl',
    '-D',
    data,
    '-w',
    '-l',
    join(socket, 'log'),
    '-o',
    `-k ${socket} -c listen_addresses= -c fsync=off`,
    'start',
  );
  let count = 0;
  return () => {
    count += 1;
    const name = `browser${count}`;
    run('createdb', '-h', socket, '-U', 'postgres', name);
    return `postgres://postgres@${encodeURIComponent(socket)}/${name}`;
  };
}

let create;

// Creates an empty database and returns its URL. The first call starts the server.
export function postgres() {
  create ??= start();
  return create();
}
