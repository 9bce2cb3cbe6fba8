// The official `@anthropic-ai/sdk` library: messages.
import Anthropic from '@anthropic-ai/sdk';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';

import { CITY, LEAD, PIECES_BEFORE_LEAVING, WEATHER } from './asked.mjs';
import { serve } from './session.mjs';

const OUTPUT_TOKENS_DEFAULT = 1000;

const client = ({ url, key, retries, timeout_ms }) =>
  new Anthropic({ baseURL: url, apiKey: key, maxRetries: retries, timeout: timeout_ms });

const message = ({ model, prompt, limit }) => ({
  model,
  messages: [{ role: 'user', content: prompt }],
  max_tokens: limit ?? OUTPUT_TOKENS_DEFAULT,
});

async function pieces(order, most = Infinity) {
  const found = [];
  const stream = client(order).messages.stream(message(order));
  for await (const event of stream) {
    if (event.type === 'content_block_delta') found.push(event.delta.text);
    if (found.length >= most) break;
  }
  return { text: found.join(''), pieces: found.length };
}

await serve({
  messages: {
    async plain(order) {
      const answer = await client(order).messages.create(message(order));
      return { text: answer.content[0].text };
    },
    streamed: (order) => pieces(order),
    left: (order) => pieces(order, PIECES_BEFORE_LEAVING),
    async tools(order) {
      const tools = [{ ...WEATHER, input_schema: CITY }];
      const answer = await client(order).messages.create({ ...message(order), tools });
      const call = answer.content.find((block) => block.type === 'tool_use');
      return { tool: call.name, input: call.input };
    },
    async structured(order) {
      const output_config = { format: zodOutputFormat(LEAD) };
      const answer = await client(order).messages.parse({ ...message(order), output_config });
      return answer.parsed_output;
    },
  },
});
