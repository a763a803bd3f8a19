"""The statements of the store that take more than a few lines."""

from __future__ import annotations

__all__ = [
    "FORGET_OLD",
    "GONE",
    "KNOWN",
    "LOCK_PEOPLE",
    "NEIGHBOURS",
    "PLACED",
    "SAVE_PRODUCTS",
    "SAVE_SELLERS",
    "SAVE_SIGNALS",
    "SAVE_STOCK",
    "SHELF",
    "TRAILS",
]

_IN_STOCK = "EXISTS (SELECT FROM jsonb_each_text({0}) AS each WHERE each.value::bigint > 0)"
_ACTIVE = "NOT EXISTS (SELECT FROM recommendations.sellers AS s WHERE s.id = {0} AND NOT s.active)"

#: A later event of the catalogue, or one that another database has numbered; what is of no event has the number 0.
_LATER = "({0}.sequence > 0 AND (p.sequence < {0}.sequence OR p.writer <> {0}.writer))"

SAVE_PRODUCTS = f"""
INSERT INTO recommendations.products AS p
  (id, seller_id, category_id, category_path, title, card, available, shown, buyable, since, sequence, writer)
SELECT id, seller_id, category_id, category_path, title, card, available, shown,
  shown AND {_IN_STOCK.format("available")} AND {_ACTIVE.format("seller_id")}, at, sequence, writer
FROM jsonb_to_recordset($1::text::jsonb) AS g(id text, seller_id text, category_id text, category_path text[], title text,
  card text, available jsonb, shown boolean, at timestamptz, sequence bigint, writer text)
ORDER BY id
ON CONFLICT (id) DO UPDATE SET seller_id = excluded.seller_id, category_id = excluded.category_id,
  category_path = excluded.category_path, title = excluded.title, card = excluded.card, available = excluded.available,
  shown = excluded.shown, buyable = excluded.buyable, sequence = excluded.sequence, writer = excluded.writer
  WHERE {_LATER.format("excluded")}
"""

SAVE_STOCK = f"""
UPDATE recommendations.products AS p
SET available = p.available || g.available, sequence = g.sequence, writer = g.writer,
  buyable = p.shown AND {_IN_STOCK.format("p.available || g.available")} AND {_ACTIVE.format("p.seller_id")}
FROM jsonb_to_recordset($1::text::jsonb) AS g(id text, available jsonb, sequence bigint, writer text)
WHERE p.id = g.id AND {_LATER.format("g")}
"""

SAVE_SELLERS = f"""
WITH given AS (
  INSERT INTO recommendations.sellers AS s (id, active, version)
  SELECT id, active, version FROM jsonb_to_recordset($1::text::jsonb) AS g(id text, active boolean, version bigint) ORDER BY id
  ON CONFLICT (id) DO UPDATE SET active = excluded.active, version = excluded.version WHERE s.version < excluded.version
  RETURNING id, active)
UPDATE recommendations.products AS p SET buyable = p.shown AND given.active AND {_IN_STOCK.format("p.available")}
FROM given WHERE p.seller_id = given.id
"""

#: Everybody who writes signals holds it shared, who makes a person unknown alone.
LOCK_PEOPLE = "SELECT pg_advisory_xact_lock{0}(hashtextextended('recommendations.people', 0))"

#: What is new warms its product: two heats add up as logarithms do.
SAVE_SIGNALS = """
WITH given AS (
  SELECT g.event_id, g.position, CASE WHEN u.person IS NULL THEN g.person END AS person,
    coalesce(g.product_id, p.id) AS product_id, g.kind, g.source, g.at, g.heat
  FROM jsonb_to_recordset($1::text::jsonb) AS g(event_id text, position int, person text, product_id text, variant_id text,
    kind text, source text, at timestamptz, heat float8)
  LEFT JOIN LATERAL (SELECT id FROM recommendations.products WHERE available ? g.variant_id LIMIT 1) AS p
    ON g.product_id IS NULL
  LEFT JOIN recommendations.unknown AS u ON u.person = g.person
  WHERE coalesce(g.product_id, p.id) IS NOT NULL),
fresh AS (
  INSERT INTO recommendations.signals (event_id, position, person, product_id, kind, source, at)
  SELECT event_id, position, person, product_id, kind, source, at FROM given ORDER BY event_id, position
  ON CONFLICT DO NOTHING RETURNING event_id, position),
top AS (
  SELECT product_id, max(heat) AS most FROM given JOIN fresh USING (event_id, position)
  WHERE heat IS NOT NULL GROUP BY product_id),
warm AS (
  SELECT top.product_id, top.most + ln(sum(power(2.0::float8, greatest(given.heat - top.most, -60)))) / ln(2.0::float8) AS heat
  FROM top JOIN given USING (product_id) JOIN fresh USING (event_id, position)
  WHERE given.heat IS NOT NULL GROUP BY top.product_id, top.most),
held AS (
  SELECT p.id, p.heat FROM recommendations.products AS p JOIN warm ON warm.product_id = p.id ORDER BY p.id FOR UPDATE OF p)
UPDATE recommendations.products AS p
SET heat = CASE WHEN p.heat IS NULL THEN warm.heat ELSE greatest(p.heat, warm.heat)
  + ln(1 + power(2.0::float8, -least(abs(p.heat - warm.heat), 60))) / ln(2.0::float8) END
FROM warm JOIN held ON held.id = warm.product_id
WHERE p.id = warm.product_id
"""

#: $1: products, $2: sellers.
GONE = """
SELECT id FROM recommendations.products
WHERE NOT buyable AND (id = ANY($1::text[]) OR seller_id = ANY($2::text[]))
"""

FORGET_OLD = """
DELETE FROM recommendations.signals WHERE (event_id, position) IN (
  SELECT event_id, position FROM recommendations.signals
  WHERE at < $1 AND CASE WHEN $3::boolean THEN kind = 'purchase' ELSE kind IN ('impression', 'view', 'click', 'cart') END
  LIMIT $2::int)
RETURNING 1 AS one
"""

#: $2: how many.
KNOWN = """
WITH bought AS (
  SELECT DISTINCT s.product_id, coalesce(n.again, false) AS again FROM recommendations.signals s
  LEFT JOIN recommendations.models m ON m.current
  LEFT JOIN recommendations.neighbours n ON n.generation = m.generation AND n.product_id = s.product_id
  WHERE s.person = $1 AND s.kind = 'purchase')
SELECT EXISTS (SELECT FROM recommendations.unknown WHERE person = $1) AS unknown,
  ARRAY(SELECT s.product_id FROM recommendations.signals s WHERE s.person = $1 AND s.kind <> 'impression'
    ORDER BY s.at DESC, s.event_id DESC, s.position DESC LIMIT $2::int) AS recent,
  ARRAY(SELECT product_id FROM bought WHERE NOT again) AS bought,
  ARRAY(SELECT product_id FROM bought WHERE again) AS again
"""

#: $1: products, $2: how many of the category of one that the model does not know, $3: the recency without a model.
NEIGHBOURS = """
SELECT p.id, coalesce((m.figures->'knobs'->>'recency')::float8, $3::float8) AS recency, n.neighbours,
  CASE WHEN n.neighbours IS NULL THEN ARRAY(
    SELECT o.id FROM recommendations.products o
    WHERE o.buyable AND o.category_id = p.category_id AND o.id <> p.id
    ORDER BY o.heat DESC NULLS LAST, o.since DESC LIMIT $2::int) END AS category
FROM recommendations.products p
LEFT JOIN recommendations.models m ON m.current
LEFT JOIN recommendations.neighbours n ON n.generation = m.generation AND n.product_id = p.id
WHERE p.id = ANY($1::text[])
"""

SHELF = "SELECT p.card, p.seller_id, p.category_id FROM recommendations.products AS p"

PLACED = """
SELECT id, seller_id, category_id, heat, extract(epoch FROM since)::float8 AS since FROM recommendations.products
WHERE buyable
"""

#: $1: the last person before these, $2: how many.
TRAILS = """
SELECT person, array_agg(product_id ORDER BY at, event_id, position) AS products,
  array_agg(kind = 'purchase' ORDER BY at, event_id, position) AS bought
FROM recommendations.signals
WHERE kind <> 'impression' AND person IN (
  SELECT DISTINCT person FROM recommendations.signals WHERE person > $1 ORDER BY person LIMIT $2::int)
GROUP BY person ORDER BY person
"""
