// Serves TOML over standard input and output, as VS Code's "Even Better TOML" does it: npm has taplo's server as a library only,
// and the program `taplo` of PyPI and npm is built without it.

import { readFile, writeFile } from "node:fs/promises";
import { isAbsolute } from "node:path";
import taplo from "@taplo/lsp";
import { StreamMessageReader, StreamMessageWriter } from "vscode-jsonrpc/node";

globalThis.fetch = async () => {
  throw new Error("nothing is fetched here, the catalog of schemas neither");
};

const environment = {
  cwd: () => process.cwd(),
  envVar: (name) => process.env[name],
  envVars: () => Object.entries(process.env),
  findConfigFile: () => undefined,
  glob: () => [],
  isAbsolute,
  now: () => new Date(),
  readFile: (path) => readFile(path),
  stdErrAtty: () => false,
  stderr: process.stderr,
  stdin: process.stdin,
  stdout: process.stderr, // standard output is for messages
  urlToFilePath: (url) => decodeURIComponent(url).slice("file://".length),
  writeFile,
};

const writer = new StreamMessageWriter(process.stdout);
const server = await taplo.TaploLsp.initialize(environment, { onMessage: (message) => writer.write(message) });
new StreamMessageReader(process.stdin).listen((message) => {
  if (message.method === "exit") {
    process.exit(0);
  }
  server.send(message);
});
