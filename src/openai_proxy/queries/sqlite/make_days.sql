-- The roll-up: what the requests of a UTC day that ended come to, for each of what a total may be asked by. An empty blob,
-- which no text equals, stands for a team or model that is not known: NULL would make no two rows the same.
CREATE TABLE usage_days (
  day INTEGER,
  user_id TEXT,
  team_id TEXT,
  key_id TEXT,
  model TEXT,
  operation_name TEXT,
  status TEXT,
  priced INTEGER,
  estimated INTEGER,
  requests INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  cache_read_input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  reasoning_output_tokens INTEGER NOT NULL,
  list_cost INTEGER NOT NULL,
  PRIMARY KEY (day, user_id, team_id, key_id, model, operation_name, status, priced, estimated)
) WITHOUT ROWID
