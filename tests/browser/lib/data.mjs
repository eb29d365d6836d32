// Rows for the tests, written with SQL, so that nothing checks or cleans them on their way into the database.
import { randomUUID } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';

import { folder, viraldb } from './viraldb.mjs';

// Shown by every hostile text, so that a test can find out whether the page shows it as text.
export const MARK = '<script>alert(1)</script>';

// Texts that would run, break the layout or break the document if a page did not escape, cut and clean them.
export const HOSTILE = [
  `${MARK}`,
  `"><img src=x onerror=alert(2)> ${MARK}`,
  `'; --</style></textarea></title><svg/onload=alert(3)> ${MARK} \`\${alert(4)}\` {{7*7}} \\`,
  `javascript:alert(5)//${MARK}`,
  `\u202Edesrever\u202C \u05E2\u05D1\u05E8\u05D9\u05EA \u0627\u0644\u0639\u0631\u0628\u064A\u0629 ${MARK} \u202E`,
  `\u{1F525}\u{1F469}\u200D\u{1F469}\u200D\u{1F467} e${'\u0301'.repeat(50)} ${MARK}`,
  `a/b?c=d#e%2F&f=g+h;i&lt;&#0; ${MARK}`,
  `\u001b[31m\u0007\u0001\u007f\u0085\uFFFF\r\n\t ${MARK}`,
  `${MARK}${'x'.repeat(10_000)}`,
  `${MARK} ${'many words '.repeat(900)}`,
];
// PostgreSQL cannot store it.
const NUL = `${MARK} nul\0nul`;

// Columns with an index, which holds at most 2,600 bytes on PostgreSQL.
const LONGEST_KEY = 2_000;

export const now = (seconds = 0) => {
  const iso = new Date(Date.now() + seconds * 1000).toISOString();
  return `${iso.slice(0, 10)} ${iso.slice(11, 23)}000`;
};

let count = 0;

// An open SQLite database in the folder that the command works in.
export class Rows {
  constructor() {
    count += 1;
    const name = count === 1 ? 'viral.db' : `viral${count}.db`;
    this.url = `sqlite://${name}`;
    viraldb(['init', '--quiet'], { url: this.url });
    this.db = new DatabaseSync(join(folder, name));
    this.db.exec('PRAGMA foreign_keys = ON');
  }

  // Inserts a row and returns its key.
  insert(table, row) {
    const names = Object.keys(row);
    const sql = `INSERT INTO ${table} (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')}) RETURNING *`;
    return Object.values(this.db.prepare(sql).get(...Object.values(row)))[0];
  }

  // Returns the tables, with those that others refer to first.
  tables() {
    const sql = `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB '__diesel*'
      AND name NOT GLOB 'sqlite*' AND name <> 'viraldb_migrations' ORDER BY rowid`;
    return this.db
      .prepare(sql)
      .all()
      .map((row) => row.name);
  }

  // Copies the database into an empty one on PostgreSQL, and returns the URL of the copy.
  copyTo(postgres) {
    viraldb(['transfer', '--quiet', '--from', this.url, '--to', postgres]);
    return postgres;
  }

  close() {
    this.db.close();
  }
}

// Returns the columns of a table, with what the schema says about their values.
function columns(db, table) {
  const { sql } = db.prepare('SELECT sql FROM sqlite_schema WHERE name = ?').get(table);
  const keys = new Map(
    db
      .prepare(`PRAGMA foreign_key_list(${table})`)
      .all()
      .map((key) => [key.from, key.table]),
  );
  const indexed = new Set();
  for (const { name } of db.prepare(`PRAGMA index_list(${table})`).all()) {
    for (const column of db.prepare(`PRAGMA index_info(${name})`).all()) indexed.add(column.name);
  }
  return db
    .prepare(`PRAGMA table_xinfo(${table})`)
    .all()
    .filter((column) => column.hidden === 0)
    .map((column) => {
      const check = sql.split(`CONSTRAINT ${table}_${column.name}_check CHECK (`)[1]?.split('CONSTRAINT')[0] ?? '';
      const words = /^\S+ IN \(([^)]*)\)/
        .exec(check)?.[1]
        .split(', ')
        .map((word) => word.replaceAll("'", ''));
      return {
        name: column.name,
        type: column.type,
        key: column.pk > 0,
        indexed: column.pk > 0 || indexed.has(column.name),
        references: keys.get(column.name),
        words,
        json: check.includes('json_valid') || `${table}.${column.name}` === 'system_configuration.value',
        uuid: check.includes('LIKE'),
        time: check.includes('strftime'),
      };
    });
}

// Fills every text column of every table with hostile texts, one row for each text. Returns the keys of the rows by
// table, and the tables that have such columns.
export function fillHostile(rows, { nul }) {
  const texts = nul ? [...HOSTILE, NUL] : HOSTILE;
  const keys = new Map();
  const withText = [];
  for (const table of rows.tables()) {
    const all = columns(rows.db, table);
    if (all.some((of) => of.type === 'TEXT' && !of.words && !of.uuid && !of.time && !of.references))
      withText.push(table);
    keys.set(
      table,
      texts.map((text, at) => {
        const row = {};
        for (const column of all) {
          const { name, type } = column;
          if (type === 'INTEGER' && column.key) continue;
          const parents = keys.get(column.references);
          if (parents) row[name] = parents[at];
          else if (column.words) row[name] = type === 'TEXT' ? column.words[at % column.words.length] : at % 2;
          else if (type === 'INTEGER') row[name] = name === 'attempt' || name === 'max_attempts' ? at + 1 : at;
          else if (type === 'REAL') row[name] = name === 'progress' ? 0.5 : at + 0.5;
          else if (column.json)
            row[name] = JSON.stringify({ [text.replaceAll('\0', '')]: [text.replaceAll('\0', ''), at] });
          else if (column.uuid) row[name] = randomUUID();
          else if (column.time) row[name] = now(at - 3600);
          else if (column.key)
            row[name] = text.slice(0, LONGEST_KEY).replaceAll('\0', ''); // node:sqlite reads no NUL
          else row[name] = column.indexed ? text.slice(0, LONGEST_KEY) : text;
        }
        if ('is_default' in row) row.is_default = 0;
        if ('encrypted' in row) row.encrypted = 0;
        if (table === 'viraldb_job_waits') row.waits_for = keys.get('video_processing_jobs')[(at + 1) % texts.length];
        return rows.insert(table, row);
      }),
    );
  }
  return { keys, withText };
}
