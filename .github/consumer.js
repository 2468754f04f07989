// A consumer of the pipeline's Redis queue: node consumer.js [HOST [PORT [QUEUE [MILLISECONDS TO WAIT FOR MORE]]]]
// Each message is a line, `id stream JSON`. A message may come twice, with the same id: a database would remember it.
const [host = "127.0.0.1", port = "6379", queue = "arion", wait = "5000"] = process.argv.slice(2);
const key = `{${queue}}:blocks`, group = "consumers", me = `node-${process.pid}`;
const socket = require("node:net").connect(Number(port), host);
let bytes = Buffer.alloc(0), wake = () => {}; // what Redis has sent and nobody has read
socket.on("data", (more) => { bytes = Buffer.concat([bytes, more]); wake(); });
async function upTo(end) { // the bytes before the newline that `end` finds
  while (end() < 0) await new Promise((woken) => { wake = woken; });
  const found = bytes.subarray(0, end());
  bytes = bytes.subarray(found.length + 2);
  return found.toString();
}
async function answer() {
  const line = await upTo(() => bytes.indexOf("\r\n")), n = Number(line.slice(1)), all = [];
  if (line[0] === "$" && n >= 0) return upTo(() => (bytes.length >= n + 2 ? n : -1));
  if (line[0] === "*") for (let i = 0; i < n; i++) all.push(await answer());
  return line[0] === "*" ? all : line[0] === "$" ? null : line;
}
function ask(...words) {
  socket.write(`*${words.length}\r\n` + words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join(""));
  return answer();
}
async function main() {
  await ask("XGROUP", "CREATE", key, group, "0", "MKSTREAM"); // an error where it is there already
  for (;;) {
    let blocks = (await ask("XAUTOCLAIM", key, group, me, "30000", "0", "COUNT", "1"))[1]; // of a consumer that died
    if (!blocks.length) blocks = (await ask("XREADGROUP", "GROUP", group, me, "COUNT", "1", "BLOCK", wait, "STREAMS", key, ">"))[0]?.[1];
    if (!blocks) return socket.end();
    for (const [entry, [, stream, , type, , runs, , data]] of blocks) {
      if (type === "application/x-arion-frames") throw new Error(`${entry}: a message with a newline in it`);
      const ids = JSON.parse(runs).flatMap(([base, first, count]) => Array.from({ length: count }, (_, i) => `${base}.${first + i}`));
      const messages = type === "application/json" ? [data] : data.split("\n");
      messages.forEach((message, i) => console.log(ids[i], stream, message)); // here a real one does its work
      await ask("XACK", key, group, entry); // and only then takes the block out of the queue
      await ask("XDEL", key, entry);
    }
  }
}
main().catch((error) => { console.error(String(error)); process.exit(1); });
