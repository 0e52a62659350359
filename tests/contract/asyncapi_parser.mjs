// Parses an AsyncAPI document with the official parser: node asyncapi_parser.mjs MODULES_DIR FILE
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { Parser } = createRequire(`${process.argv[2]}/`)('@asyncapi/parser');
const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[3], 'utf8'));
console.log(
  JSON.stringify({
    version: document?.version() ?? null,
    channels: document?.channels().all().map((channel) => channel.address()) ?? [],
    messages: document?.messages().all().map((message) => message.name()) ?? [],
    // 0 is an error, 1 a warning.
    problems: diagnostics.filter((item) => item.severity <= 1).map((item) => `${item.path.join('/')}: ${item.message}`),
  }),
);
