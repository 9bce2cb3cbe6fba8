// What every library is asked for: the same tool, the same shape, the same patience with a stream.
import { z } from 'zod';

export const PIECES_BEFORE_LEAVING = 2;
export const LEAD = z.object({ name: z.string(), worth: z.number() });
export const CITY = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
};
export const WEATHER = { name: 'weather', description: 'Tell the weather of a city.' };
