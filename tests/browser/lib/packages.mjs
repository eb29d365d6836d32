// The npm packages. `run` installs them into a folder outside of the project, so that `cargo package` does not find them.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const folder = process.env.VIRALDB_BROWSER_PACKAGES;
if (!folder) throw new Error('VIRALDB_BROWSER_PACKAGES is not set; start the tests with tests/browser/run');
const require = createRequire(`${folder}/package.json`);

export const { chromium } = require('playwright-core');
export const { HtmlValidate } = require('html-validate');
export const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
