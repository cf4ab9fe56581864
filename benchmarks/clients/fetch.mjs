// Round trips over one connection of fetch: fetch.mjs URL. For each line of input, a number, it
// makes so many and prints the nanoseconds they took. For Node, bun and deno.
import { createInterface } from 'node:readline';

const url = process.argv[2];
const body = JSON.stringify({ text: 'q'.repeat(53) });
const headers = { 'content-type': 'application/json' };
for await (const line of createInterface({ input: process.stdin })) {
  const began = process.hrtime.bigint();
  for (let turn = 0; turn < Number(line); turn++)
    await (await fetch(url, { method: 'POST', body, headers })).text();
  console.log(String(process.hrtime.bigint() - began));
}
process.exit(0);
