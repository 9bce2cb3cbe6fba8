// Orders come in as lines of JSON and are played one after the other; each is answered by a line.
//
// An order: {library, do, url, key, model, prompt, limit?, retries?, timeout_ms?}. An answer: {said} with
// what the library returned, or {error: {types, status, message}}; and requests, how often Node itself
// sent a request for it. The libraries do not know that they are counted.
import diagnostics from 'node:diagnostics_channel';
import { createInterface } from 'node:readline';

const ERROR_CAUSES_MAX = 4;

function typesOf(error) {
  const types = [];
  for (let kind = error?.constructor; kind?.name; kind = Object.getPrototypeOf(kind)) types.push(kind.name);
  return types;
}

function told(error) {
  const errors = [error];
  while (errors.length < ERROR_CAUSES_MAX && errors.at(-1)?.cause) errors.push(errors.at(-1).cause);
  return {
    types: [error?.name ?? '', ...typesOf(error)],
    status: error?.status ?? error?.statusCode ?? null,
    message: errors.map((each) => String(each?.message ?? each)).join(': '),
  };
}

export async function serve(libraries) {
  let requests = 0;
  diagnostics.subscribe('undici:request:create', () => {
    requests += 1;
  });
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    requests = 0;
    let answer;
    try {
      answer = { said: await libraries[order.library][order.do](order) };
    } catch (error) {
      answer = { error: told(error) };
    }
    process.stdout.write(`${JSON.stringify({ ...answer, requests })}\n`);
  }
}
