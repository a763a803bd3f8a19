"""The statements of the catalogue's store that take more than a few lines. Rows are made into JSON by the server."""

from __future__ import annotations

__all__ = [
    "ADD_CATEGORIES",
    "CARD",
    "CATEGORIES",
    "DIGESTS",
    "DIGITAL",
    "FILLED_BELOW",
    "HANG",
    "IMPORTED",
    "PAGE",
    "PAGES",
    "RECORD",
    "REFERRED",
    "SAVE",
    "SCAN",
    "SEEN",
    "SORTS",
    "TAKEN",
    "THUMB",
    "UNTRACKED",
    "VARIANTS",
    "WALK",
    "WEIGHT",
]

MONEY = "CASE WHEN {0} IS NOT NULL THEN json_build_object('amount', {0}, 'currency', {1}) END"
#: A picture of which there are sizes is shown in the fitting one.
CARD_IMAGE = """json_build_object('url', coalesce(i#>>'{sizes,card,url}', i->>'key'),
  'width', coalesce(i#>'{sizes,card,width}', i->'width'), 'height', coalesce(i#>'{sizes,card,height}', i->'height'))"""
IMAGE = """json_build_object('url', i->>'key', 'width', i->'width', 'height', i->'height',
  'sizes', coalesce(i->'sizes', '{}'))"""
READY = "jsonb_path_query_first(p.images, '$[*] ? (@.status == \"ready\")')"
RATING = "json_build_object('average', round(p.rating_average::numeric, 2)::float8, 'count', p.rating_count)"

CARD = f"""
json_build_object('id', p.id, 'slug', p.slug, 'title', p.title,
  'seller', json_build_object('id', s.id, 'name', s.name),
  'price', {MONEY.format("p.price", "p.currency")}, 'compare_at', {MONEY.format("p.compare_at", "p.currency")},
  'image', (SELECT {CARD_IMAGE} FROM (SELECT {READY} AS i) AS first WHERE i IS NOT NULL),
  'rating', {RATING},
  'in_stock', EXISTS (SELECT FROM catalog.variants v
    WHERE v.product_id = p.id AND v.price IS NOT NULL AND v.on_hand - v.reserved - v.allocated > 0))::text AS card
"""

SEEN = "SELECT p.* FROM catalog.products p JOIN catalog.sellers s ON s.id = p.seller_id"

#: per sort: its key and the key's type, whether it descends
SORTS = {
    "newest": ("p.created_at", "timestamptz", True),
    "price": ("p.price", "bigint", False),
    "-price": ("p.price", "bigint", True),
    "rating": ("coalesce(p.rating_score, 0)", "float8", True),
}

SHOWN = f"""
json_build_object('id', p.id, 'slug', p.slug, 'title', p.title, 'description', p.description,
  'category', CASE WHEN c.id IS NOT NULL
    THEN json_build_object('id', c.id, 'slug', c.slug, 'name', c.name, 'path', c.path) END,
  'attributes', p.attributes,
  'images', (SELECT coalesce(json_agg({IMAGE}), '[]') FROM jsonb_array_elements(p.images) AS i
             WHERE i->>'status' = 'ready'),
  'seller', json_build_object('id', s.id, 'name', s.name),
  'rating', {RATING},
  'variants', (SELECT coalesce(json_agg(json_build_object('id', v.id, 'sku', v.sku, 'title', v.title,
      'options', v.options, 'price', {MONEY.format("v.price", "v.currency")},
      'compare_at', {MONEY.format("v.compare_at", "v.currency")},
      'available', v.on_hand - v.reserved - v.allocated) ORDER BY v.position), '[]')
    FROM catalog.variants v WHERE v.product_id = p.id))::text AS page
"""

PAGE_FROM = """
FROM catalog.products p JOIN catalog.sellers s ON s.id = p.seller_id AND s.active
LEFT JOIN catalog.categories c ON c.id = p.category_id WHERE p.status = 'published' AND
"""

PAGE = f"SELECT {SHOWN} {PAGE_FROM} (p.id = $1 OR p.slug = $1)"
#: As one text: a row for each costs more than what is in it.
PAGES = f"SELECT coalesce(json_agg(page::json), '[]')::text FROM (SELECT {SHOWN} {PAGE_FROM} p.id = ANY($1::text[])) AS found"
SCAN = f"""
SELECT coalesce(json_agg(page::json), '[]')::text
FROM (SELECT {SHOWN} {PAGE_FROM} p.id > $1 ORDER BY p.id LIMIT $2::int) AS found
"""

RECORD = """
json_build_object('id', p.id, 'seller_id', p.seller_id, 'import_key', p.import_key, 'slug', p.slug, 'title', p.title,
  'description', p.description, 'category_id', p.category_id, 'attributes', p.attributes, 'images', p.images,
  'status', p.status, 'reason_code', p.reason_code, 'rating_average', p.rating_average,
  'rating_count', p.rating_count, 'rating_score', p.rating_score, 'digest', p.digest, 'revision', p.revision,
  'created_at', p.created_at,
  'updated_at', greatest(p.updated_at, (SELECT max(v.moved_at) FROM catalog.variants v WHERE v.product_id = p.id)),
  'counted_in', CASE WHEN p.status = 'published' THEN p.category_id END,
  'variants', (SELECT coalesce(json_agg(json_build_object('id', v.id, 'sku', v.sku, 'title', v.title,
      'options', v.options, 'price', v.price, 'compare_at', v.compare_at, 'currency', v.currency,
      'on_hand', v.on_hand, 'reserved', v.reserved, 'allocated', v.allocated) ORDER BY v.position), '[]')
    FROM catalog.variants v WHERE v.product_id = p.id))::text AS record
"""

#: The key of what carts and orders show; ``i`` is the first that is ready.
THUMB = f"(SELECT coalesce(i#>>'{{sizes,thumb,url}}', i->>'key') FROM (SELECT {READY} AS i) AS first)"

#: What an attribute says of a variant: of all of its product's, or by its sku.
_SAID = "CASE jsonb_typeof(p.attributes->'{0}') WHEN 'object' THEN p.attributes->'{0}'->v.sku ELSE p.attributes->'{0}' END"
_GRAMS = _SAID.format("weight_g")
#: A number of grams that there can be; attributes say what their sellers like.
WEIGHT = f"""
CASE WHEN jsonb_typeof({_GRAMS}) = 'number'
  THEN CASE WHEN ({_GRAMS})::numeric BETWEEN 1 AND 10000000 THEN round(({_GRAMS})::numeric)::int END END
"""
DIGITAL = f"coalesce({_SAID.format('digital')} = 'true'::jsonb, false)"
UNTRACKED = f"coalesce({_SAID.format('untracked')} = 'true'::jsonb, false)"

#: All of them as one text: a cart asks for many, and a row for each costs more than what is in it.
VARIANTS = f"""
SELECT coalesce(json_agg(json_build_object('id', v.id, 'product_id', p.id,
  'seller', json_build_object('id', s.id, 'name', s.name),
  'sku', v.sku, 'title', p.title, 'options', v.options,
  'image', {THUMB},
  'price', CASE WHEN v.price IS NOT NULL THEN json_build_object('amount', v.price, 'currency', v.currency) END,
  'available', v.on_hand - v.reserved - v.allocated,
  'buyable', p.status = 'published' AND s.active AND v.price IS NOT NULL,
  'category_id', p.category_id, 'tax_class', 'standard', 'weight_g', {WEIGHT}, 'digital', {DIGITAL})), '[]')::text AS variants
FROM catalog.variants v JOIN catalog.products p ON p.id = v.product_id JOIN catalog.sellers s ON s.id = p.seller_id
WHERE v.id = ANY($1::text[])
"""

#: Products by their sellers' keys, $1. Here and below each row is looked for by its key: a join is planned while few rows are
#: there, reads all of them, and goes on to when there are many. ``OFFSET 0`` keeps it from being made one.
IMPORTED = """
jsonb_to_recordset($1::text::jsonb) AS w(seller_id text, import_key text) CROSS JOIN LATERAL (
  SELECT id, digest FROM catalog.products p WHERE p.seller_id = w.seller_id AND p.import_key = w.import_key OFFSET 0) AS o
"""

DIGESTS = f"SELECT w.seller_id, w.import_key, o.digest FROM {IMPORTED} WHERE o.digest IS NOT NULL"

#: Variants by their sellers' skus, $1.
TAKEN = """
SELECT w.seller_id, w.sku, v.product_id, v.import_key
FROM jsonb_to_recordset($1::text::jsonb) AS w(seller_id text, sku text) CROSS JOIN LATERAL (
  SELECT v.product_id, p.import_key FROM catalog.variants v JOIN catalog.products p ON p.id = v.product_id
  WHERE v.seller_id = w.seller_id AND v.sku = w.sku OFFSET 0) AS v
"""

#: $1: products with their variants; $2: their ids. Those that are there already are looked for once, by their key: of new ones
#: there is no slug to keep and no variant to take away, and a join could choose to read all rows to find that out.
SAVE = """
WITH item AS (
  SELECT value AS p FROM jsonb_array_elements($1::text::jsonb)
), product AS (
  SELECT r.* FROM item, jsonb_to_record(p) AS r(id text, seller_id text, import_key text, slug text, title text,
    description text, category_id text, attributes jsonb, images jsonb, status text, reason_code text, digest text,
    rating_average float8, rating_count int, rating_score float8, revision int,
    created_at timestamptz, updated_at timestamptz, price bigint, compare_at bigint, currency text)
), there AS MATERIALIZED (
  SELECT id, slug FROM catalog.products WHERE id = ANY($2::text[])
), moved AS (
  INSERT INTO catalog.slugs (slug, product_id)
  SELECT there.slug, there.id FROM there JOIN product USING (id) WHERE there.slug <> product.slug
  ON CONFLICT (slug) DO UPDATE SET product_id = excluded.product_id
), saved AS (
  INSERT INTO catalog.products AS o (id, seller_id, import_key, slug, title, description, category_id, attributes,
    images, status, reason_code, digest, created_at, updated_at, price, compare_at, currency,
    rating_average, rating_count, rating_score, revision)
  SELECT id, seller_id, import_key, slug, title, description, category_id, attributes, images, status, reason_code,
    digest, created_at, updated_at, price, compare_at, currency, rating_average, rating_count, rating_score,
    coalesce(revision, 1) FROM product
  ON CONFLICT (id) DO UPDATE SET seller_id = excluded.seller_id, import_key = excluded.import_key,
    slug = excluded.slug, title = excluded.title, description = excluded.description,
    category_id = excluded.category_id, attributes = excluded.attributes, images = excluded.images,
    status = excluded.status, reason_code = excluded.reason_code, digest = excluded.digest,
    updated_at = excluded.updated_at, price = excluded.price, compare_at = excluded.compare_at,
    currency = excluded.currency, rating_average = excluded.rating_average, rating_count = excluded.rating_count,
    rating_score = excluded.rating_score, revision = excluded.revision
), variant AS (
  SELECT item.p->>'id' AS product_id, item.p->>'seller_id' AS seller_id, v.ordinality::int AS position, r.*
  FROM item, jsonb_array_elements(item.p->'variants') WITH ORDINALITY AS v,
    jsonb_to_record(v.value) AS r(id text, sku text, title text, options jsonb, price bigint, compare_at bigint,
      currency text, on_hand bigint)
), gone AS (
  DELETE FROM catalog.variants o
  WHERE o.product_id = ANY(ARRAY(SELECT id FROM there)) AND NOT EXISTS (SELECT FROM variant WHERE variant.id = o.id)
)
INSERT INTO catalog.variants AS o (id, product_id, seller_id, sku, title, options, position, price, compare_at,
  currency, on_hand)
SELECT id, product_id, seller_id, sku, title, options, position, price, compare_at, currency, on_hand FROM variant
ORDER BY seller_id, sku
ON CONFLICT (id) DO UPDATE SET product_id = excluded.product_id, seller_id = excluded.seller_id, sku = excluded.sku,
  title = excluded.title, options = excluded.options, position = excluded.position, price = excluded.price,
  compare_at = excluded.compare_at, currency = excluded.currency, on_hand = excluded.on_hand
"""


#: By category: its path anew, and that of all below it.
HANG = """
WITH RECURSIVE moved AS (
  SELECT c.id, CASE WHEN up.id IS NULL THEN '{}' ELSE up.ancestors || up.id END AS ancestors,
    coalesce(up.path, '{}') || c.name AS path
  FROM catalog.categories c LEFT JOIN catalog.categories up ON up.id = c.parent_id WHERE c.id = $1
  UNION ALL
  SELECT c.id, moved.ancestors || moved.id, moved.path || c.name
  FROM catalog.categories c JOIN moved ON c.parent_id = moved.id
)
UPDATE catalog.categories c SET ancestors = moved.ancestors, path = moved.path FROM moved WHERE c.id = moved.id
"""

#: All of them by columns: rows as objects, or as JSON, take several times as long to make.
CATEGORIES = """
WITH counts AS (
  SELECT k.category_id AS id, sum(k.count)::bigint AS count FROM catalog.category_counts k
  JOIN catalog.sellers s ON s.id = k.seller_id AND s.active GROUP BY 1
)
SELECT array_agg(c.id) AS ids, array_agg(coalesce(c.parent_id, '')) AS parents, array_agg(c.slug) AS slugs,
  array_agg(c.name) AS names, array_agg(coalesce(n.count, 0)) AS counts, array_agg(cardinality(c.ancestors)) AS levels
FROM catalog.categories c LEFT JOIN counts n USING (id)
"""

#: $1: categories of one level; $2: how many levels there may be. Those whose parent is not there, or the lowest, are left out.
ADD_CATEGORIES = """
INSERT INTO catalog.categories (id, parent_id, slug, name, name_key, ancestors, path)
SELECT g.id, g.parent_id, g.slug, g.name, g.name_key,
  CASE WHEN up.id IS NULL THEN '{}' ELSE up.ancestors || up.id END, coalesce(up.path, '{}') || g.name
FROM jsonb_to_recordset($1::text::jsonb) AS g(id text, parent_id text, slug text, name text, name_key text)
LEFT JOIN catalog.categories up ON up.id = g.parent_id
WHERE (g.parent_id IS NULL OR up.id IS NOT NULL) AND coalesce(cardinality(up.ancestors), -1) + 1 < $2::int
RETURNING id
"""

#: A category and those below it that have products; with how many, of roughly how many. $1: id or slug.
FILLED_BELOW = """
WITH top AS (SELECT id FROM catalog.categories WHERE id = $1 OR slug = $1),
below AS (
  SELECT id FROM top UNION SELECT c.id FROM top JOIN catalog.categories c ON c.ancestors @> ARRAY[top.id]),
filled AS (
  SELECT id, sum(k.count) AS count FROM below JOIN catalog.category_counts k ON k.category_id = id
  GROUP BY id HAVING sum(k.count) > 0)
SELECT coalesce(array_agg(id), '{}') AS ids, coalesce(sum(count), 0)::bigint AS products,
  (SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'catalog.products'::regclass) AS of
FROM filled
"""

#: Ids along each path of names; $1: for each its names' keys and its names. What has no key yet is found by its name: a search
#: of its own, as either of both is found by no index.
WALK = """
WITH RECURSIVE wanted AS (
  SELECT (w.ordinality - 1)::int AS n, w.value->0 AS keys, w.value->1 AS names
  FROM jsonb_array_elements($1::text::jsonb) WITH ORDINALITY AS w
), walk AS (
  SELECT w.n, 1 AS depth, c.id FROM wanted w CROSS JOIN LATERAL (
    SELECT id FROM catalog.categories WHERE parent_id IS NULL AND name_key = w.keys->>0
    UNION ALL
    SELECT id FROM catalog.categories WHERE parent_id IS NULL AND name = w.names->>0 AND name_key IS NULL) c
  UNION ALL
  SELECT w.n, walk.depth + 1, c.id FROM walk JOIN wanted w USING (n) CROSS JOIN LATERAL (
    SELECT id FROM catalog.categories WHERE parent_id = walk.id AND name_key = w.keys->>walk.depth
    UNION ALL
    SELECT id FROM catalog.categories WHERE parent_id = walk.id AND name = w.names->>walk.depth AND name_key IS NULL) c
)
SELECT n, depth, min(id) AS id FROM walk GROUP BY n, depth
"""

#: Every blob that a product's pictures are in, as its index has it.
KEYS = """(jsonb_path_query_array(p.images, '$[*].key') || jsonb_path_query_array(p.images, '$[*].sizes.*.url')
  || jsonb_path_query_array(p.images, '$[*].source'))"""
#: $1: keys of blobs; those of them that products have, or lines of orders show.
REFERRED = f"""
SELECT DISTINCT key FROM catalog.products p, jsonb_array_elements_text({KEYS}) AS key WHERE {KEYS} ?| $1::text[]
  AND key = ANY($1::text[])
UNION SELECT key FROM catalog.ordered_pictures WHERE key = ANY($1::text[])
"""
