// Runs the command `viraldb`, and starts and stops dashboards.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const binary = process.env.VIRALDB;
if (!binary) throw new Error('VIRALDB must be the path of a viraldb binary with the features postgres and web');

// Settings of the person who runs the tests must not change the results.
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(VIRALDB_|PG|DATABASE_URL)/.test(name)),
);

// What the process must end and delete, in any case.
const exits = [];
process.once('exit', () => {
  while (exits.length) exits.pop()();
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));

// Calls a function when the process ends. What was added last is called first.
export function onExit(end) {
  exits.push(end);
}

// Creates a folder that is deleted when the process ends.
export function scratch() {
  const folder = mkdtempSync(join(tmpdir(), 'viraldb-browser-'));
  onExit(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

// The folder that the command works in.
export const folder = scratch();

// Returns what the command prints.
export function viraldb(args, { url, input = '' } = {}) {
  const all = [...(url ? ['--database-url', url] : []), ...args];
  const options = { cwd: folder, env: environment, encoding: 'utf8', input, maxBuffer: 1 << 28 };
  try {
    return execFileSync(binary, all, options);
  } catch (error) {
    throw new Error(`viraldb ${all.join(' ')} failed with ${error.status}: ${error.stdout}${error.stderr}`);
  }
}

// Returns the rows of a table.
export function rows(url, table) {
  return viraldb(['export', table], { url })
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

const ends = [];

// Remembers what ends something that was started.
export function atEnd(end) {
  ends.push(end);
}

// Ends everything that was started. Each file of tests calls it at its end.
export async function finish() {
  while (ends.length) await ends.pop()();
}

// Starts a dashboard.
export async function serve(url, ...args) {
  const all = ['--database-url', url, 'serve', '--listen', '127.0.0.1:0', ...args];
  const child = spawn(binary, all, { cwd: folder, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  const dashboard = { log: '', stop };
  child.stderr.on('data', (text) => {
    dashboard.log += text;
  });
  async function stop() {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const end = once(child, 'exit');
    child.kill('SIGTERM');
    return (await end)[0];
  }
  atEnd(stop);
  onExit(() => child.kill());
  dashboard.address = await new Promise((resolve, reject) => {
    let said = '';
    const timer = setTimeout(() => reject(new Error(`viraldb serve did not say its address: ${said}`)), 30_000);
    child.stdout.on('data', (text) => {
      said += text;
      const address = /listening on (http:\/\/[^ ]+)\//.exec(said);
      if (address) resolve(address[1]);
      if (address) clearTimeout(timer);
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`viraldb serve ended with ${code}: ${dashboard.log}`)));
  });
  return dashboard;
}
