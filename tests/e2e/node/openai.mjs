// The official `openai` library: chat completions and responses.
import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';

import { CITY, LEAD, PIECES_BEFORE_LEAVING, WEATHER } from './asked.mjs';
import { serve } from './session.mjs';

const client = ({ url, key, retries, timeout_ms }) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: retries, timeout: timeout_ms });

const chat = ({ model, prompt, limit }) => ({
  model,
  messages: [{ role: 'user', content: prompt }],
  max_completion_tokens: limit,
});
const response = ({ model, prompt, limit }) => ({ model, input: prompt, max_output_tokens: limit });

async function chatPieces(order, most = Infinity) {
  const pieces = [];
  const stream = await client(order).chat.completions.create({ ...chat(order), stream: true });
  for await (const chunk of stream) {
    pieces.push(chunk.choices[0].delta.content ?? '');
    if (pieces.length >= most) break;
  }
  return { text: pieces.join(''), pieces: pieces.length };
}

async function responsePieces(order, most = Infinity) {
  const pieces = [];
  const stream = await client(order).responses.create({ ...response(order), stream: true });
  for await (const event of stream) {
    if (event.type === 'response.output_text.delta') pieces.push(event.delta);
    if (pieces.length >= most) break;
  }
  return { text: pieces.join(''), pieces: pieces.length };
}

await serve({
  chat: {
    async plain(order) {
      const answer = await client(order).chat.completions.create(chat(order));
      return { text: answer.choices[0].message.content };
    },
    streamed: (order) => chatPieces(order),
    left: (order) => chatPieces(order, PIECES_BEFORE_LEAVING),
    async tools(order) {
      const tools = [{ type: 'function', function: { ...WEATHER, parameters: CITY } }];
      const answer = await client(order).chat.completions.create({ ...chat(order), tools });
      const [call] = answer.choices[0].message.tool_calls;
      return { tool: call.function.name, input: JSON.parse(call.function.arguments) };
    },
    async structured(order) {
      const format = { response_format: zodResponseFormat(LEAD, 'lead') };
      const answer = await client(order).chat.completions.parse({ ...chat(order), ...format });
      return answer.choices[0].message.parsed;
    },
  },
  responses: {
    async plain(order) {
      return { text: (await client(order).responses.create(response(order))).output_text };
    },
    streamed: (order) => responsePieces(order),
    left: (order) => responsePieces(order, PIECES_BEFORE_LEAVING),
    async tools(order) {
      const tools = [{ type: 'function', ...WEATHER, parameters: CITY, strict: false }];
      const answer = await client(order).responses.create({ ...response(order), tools });
      const call = answer.output.find((item) => item.type === 'function_call');
      return { tool: call.name, input: JSON.parse(call.arguments) };
    },
    async structured(order) {
      const text = { format: zodTextFormat(LEAD, 'lead') };
      return (await client(order).responses.parse({ ...response(order), text })).output_parsed;
    },
  },
});
