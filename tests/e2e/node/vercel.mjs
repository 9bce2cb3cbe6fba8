// The Vercel AI SDK, with its providers for OpenAI (both APIs), Anthropic and Google.
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { Output, generateText, jsonSchema, streamText, tool } from 'ai';

import { CITY, LEAD, PIECES_BEFORE_LEAVING, WEATHER } from './asked.mjs';
import { serve } from './session.mjs';

const openai = ({ url, key }) => createOpenAI({ baseURL: `${url}/v1`, apiKey: key });
const models = {
  chat: (order) => openai(order).chat(order.model),
  responses: (order) => openai(order).responses(order.model),
  messages: ({ url, key, model }) => createAnthropic({ baseURL: `${url}/v1`, apiKey: key })(model),
  content: ({ url, key, model }) =>
    createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: key })(model),
};

const asked = (model, { prompt, limit, retries, timeout_ms }) => ({
  model,
  prompt,
  maxOutputTokens: limit,
  maxRetries: retries,
  timeout: timeout_ms,
});

async function pieces(request, most = Infinity) {
  const found = [];
  const leaving = new AbortController();
  const { stream } = streamText({ ...request, abortSignal: leaving.signal, onError() {} });
  for await (const part of stream) {
    if (part.type === 'error') throw part.error;
    if (part.type === 'text-delta') found.push(part.text);
    if (found.length >= most) {
      leaving.abort();
      break;
    }
  }
  return { text: found.join(''), pieces: found.length };
}

const ways = (model) => ({
  async plain(order) {
    return { text: (await generateText(asked(model(order), order))).text };
  },
  streamed: (order) => pieces(asked(model(order), order)),
  left: (order) => pieces(asked(model(order), order), PIECES_BEFORE_LEAVING),
  async tools(order) {
    const { name, description } = WEATHER;
    const tools = { [name]: tool({ description, inputSchema: jsonSchema(CITY) }) };
    const { toolCalls } = await generateText({ ...asked(model(order), order), tools });
    return { tool: toolCalls[0].toolName, input: toolCalls[0].input };
  },
  async structured(order) {
    const output = Output.object({ schema: LEAD });
    return (await generateText({ ...asked(model(order), order), output })).output;
  },
});

await serve(Object.fromEntries(Object.entries(models).map(([name, model]) => [name, ways(model)])));
