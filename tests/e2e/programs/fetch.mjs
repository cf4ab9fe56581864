// Streamed calls by fetch, two at a time, each answer printed with the token that was sent.
// With a second argument it first waits for the end of its standard input.
import {readFileSync} from "node:fs";

if (process.argv[3]) readFileSync(0);
const base = process.env.OPENAI_BASE_URL;
const rounds = Number(process.argv[2]);

async function call(token) {
  const response = await fetch(`${base}/chat/completions`, {
    method: "POST",
    headers: {"content-type": "application/json", authorization: "Bearer sk-dummy"},
    body: JSON.stringify({
      model: "gpt-4o-mini",
      stream: true,
      stream_options: {include_usage: true},
      messages: [{role: "user", content: `id=${token} ${"x".repeat(20000)}`}],
    }),
  });
  const text = await response.text();
  console.log(token, text.includes(`id=${token}`) || text.includes(token));
}

for (let round = 0; round < rounds; round++) {
  await Promise.all([call(`n${round}a`), call(`n${round}b`)]);
}
