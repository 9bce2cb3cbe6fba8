"""Sums of spans over all clients of a zone, for what is asked about the agency as a whole."""

_SPAN_TOTAL = """
CREATE TABLE span_total (
  time_zone TEXT NOT NULL,
  span TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  outcome TEXT NOT NULL,
  call_count BIGINT NOT NULL,
  failed_count BIGINT NOT NULL,
  estimated_count BIGINT NOT NULL,
  input_count BIGINT NOT NULL,
  output_count BIGINT NOT NULL,
  cost_nano_usd BIGINT NOT NULL,
  charge_nano_usd BIGINT NOT NULL,
  charged_cost_nano_usd BIGINT NOT NULL,
  held_nano_usd BIGINT NOT NULL,
  held_cost_nano_usd BIGINT NOT NULL,
  PRIMARY KEY (time_zone, span, provider, model, outcome)
) WITHOUT ROWID
"""

_OF_CLIENTS = """
INSERT INTO span_total (time_zone, span, provider, model, outcome, call_count, failed_count,
  estimated_count, input_count, output_count, cost_nano_usd, charge_nano_usd,
  charged_cost_nano_usd, held_nano_usd, held_cost_nano_usd)
SELECT time_zone, span, provider, model, outcome, SUM(call_count), SUM(failed_count),
  SUM(estimated_count), SUM(input_count), SUM(output_count), SUM(cost_nano_usd),
  SUM(charge_nano_usd), SUM(charged_cost_nano_usd), SUM(held_nano_usd), SUM(held_cost_nano_usd)
FROM span_model GROUP BY time_zone, span, provider, model, outcome
"""

STATEMENTS = (_SPAN_TOTAL, _OF_CLIENTS)
