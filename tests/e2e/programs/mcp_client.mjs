// An MCP client on Node: its child's streams are Unix sockets, not pipes.
// node mcp_client.mjs PYTHON SERVER LEDGER
import { spawn } from 'node:child_process';

const [python, program, ledger] = process.argv.slice(2);
const server = spawn(python, [program, ledger], { stdio: ['pipe', 'pipe', 'inherit'] });
let text = '';
const waiting = new Map();
server.stdout.on('data', (part) => {
  text += part;
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
    const message = JSON.parse(text.slice(0, end));
    text = text.slice(end + 1);
    waiting.get(message.id)?.(message);
  }
});
function request(id, method, params) {
  server.stdin.write(JSON.stringify({ method, params, jsonrpc: '2.0', id }) + '\n');
  return new Promise((answered) => waiting.set(id, answered));
}
await request(1, 'initialize', {
  protocolVersion: '2025-06-18',
  capabilities: {},
  clientInfo: { name: 'node-client', version: '1.0.0' },
});
const tools = await request(2, 'tools/list', {});
console.log(tools.result.tools.length > 0 ? 'ok' : 'no tools');
server.stdin.end();
