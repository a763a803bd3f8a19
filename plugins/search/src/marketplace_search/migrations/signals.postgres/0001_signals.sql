CREATE TABLE search_signals.days (
  query text NOT NULL,
  day date NOT NULL,
  searches bigint NOT NULL,
  without_result bigint NOT NULL,
  results bigint NOT NULL,
  clicks bigint NOT NULL,
  positions bigint NOT NULL,
  PRIMARY KEY (query, day)
);
CREATE INDEX days_by_day ON search_signals.days (day);

-- people: marks of 16 bits of those who searched, until there are enough of them; then known is true, and there are none
CREATE TABLE search_signals.queries (
  query text PRIMARY KEY,
  searches bigint NOT NULL,
  last_day date NOT NULL,
  people integer[] NOT NULL,
  known boolean NOT NULL
);
CREATE INDEX queries_by_beginning ON search_signals.queries (query text_pattern_ops) WHERE known;
CREATE INDEX queries_by_day ON search_signals.queries (last_day);
