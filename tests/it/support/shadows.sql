-- Functions and operators in "public" that PostgreSQL prefers to those of pg_catalog wherever a statement neither
-- qualifies a name nor gives it arguments of exactly the types that pg_catalog has. Each of them fails when it is called.
SET search_path = pg_catalog;
DO $plant$
DECLARE
    -- Types of our columns and parameters, and those of the catalogs.
    kinds regtype[] := ARRAY['integer', 'bigint', 'double precision', 'numeric', 'text', 'name', 'oid', 'regclass', '"char"',
        'boolean', 'uuid', 'jsonb', 'json', 'timestamptz', 'interval', 'text[]', 'bigint[]', 'uuid[]', 'integer[]', 'name[]',
        'smallint', 'smallint[]', 'real', 'regnamespace', 'xid', 'date', 'timestamp'];
    pairs regtype[] := ARRAY['integer', 'bigint', 'double precision', 'numeric', 'text', 'name', 'oid', 'regclass', 'jsonb',
        'timestamptz', 'interval', 'text[]'];
    names text[] := ARRAY(SELECT DISTINCT proname::text FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
        AND proname = ANY (string_to_array(current_setting('shadows.names'), ',')));
    arguments text;
    one record;
    kind regtype;
    body text := $body$ LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'the shadow %s was called'; END $f$ $body$;
BEGIN
    FOR one IN SELECT l, r, row_number() OVER () AS n FROM unnest(kinds) AS l, unnest(kinds) AS r LOOP
        EXECUTE format('CREATE FUNCTION public.shadow_%s(%s, %s) RETURNS boolean ', one.n, one.l, one.r)
            || format(body, format('operator of %s and %s', one.l, one.r));
    END LOOP;
    FOR one IN
        SELECT sign, l, r, n FROM (SELECT l, r, row_number() OVER () AS n FROM unnest(kinds) AS l, unnest(kinds) AS r) AS f,
            (SELECT DISTINCT oprname::text AS sign FROM pg_operator WHERE oprname IN ('=', '<>', '<', '>', '<=', '>=', '+', '-',
                '*', '/', '%', '||', '->', '->>', '#>', '#>>', '@>', '<@', '?', '&&', '~', '!~', '~~', '!~~', '~*')) AS signs
        WHERE NOT EXISTS (SELECT FROM pg_operator WHERE oprname = sign AND oprleft = l AND oprright = r)
    LOOP
        EXECUTE format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.shadow_%s)', one.sign, one.l,
            one.r, one.n);
    END LOOP;
    FOR one IN
        SELECT name, given FROM unnest(names) AS name,
            (SELECT ARRAY[l] AS given FROM unnest(kinds) AS l
             UNION ALL SELECT ARRAY[l, r] FROM unnest(pairs) AS l, unnest(pairs) AS r
             UNION ALL SELECT ARRAY[l, m, r] FROM unnest(pairs[1:5]) AS l, unnest(pairs[1:5]) AS m, unnest(pairs[1:5]) AS r) AS lists
        WHERE EXISTS (SELECT FROM pg_proc WHERE proname = name AND pronamespace = 'pg_catalog'::regnamespace
                AND (provariadic <> 0 OR cardinality(given) BETWEEN pronargs - pronargdefaults AND pronargs))
            AND NOT EXISTS (SELECT FROM pg_proc WHERE proname = name AND pronamespace = 'pg_catalog'::regnamespace
                AND proargtypes::oid[] = given::oid[])
    LOOP
        arguments := array_to_string(one.given, ', ');
        EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS text ', one.name, arguments)
            || format(body, one.name || '(' || arguments || ')');
    END LOOP;
    -- The types of our rows, which win over "any element".
    FOR one IN
        SELECT name, relname FROM unnest(names) AS name, pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
            -- `migrate redo` drops these tables.
            AND relname NOT LIKE 'viraldb_job_%'
            AND EXISTS (SELECT FROM pg_proc WHERE proname = name AND pronamespace = 'pg_catalog'::regnamespace
                AND proargtypes::oid[] && ARRAY['anyelement', 'record', '"any"']::regtype[]::oid[])
    LOOP
        EXECUTE format('CREATE FUNCTION public.%I(public.%I) RETURNS text ', one.name, one.relname)
            || format(body, one.name);
        FOREACH kind IN ARRAY ARRAY['json', 'jsonb', 'text', 'boolean']::regtype[] LOOP
            EXECUTE format('CREATE FUNCTION public.%I(public.%I, %s) RETURNS text ', one.name, one.relname, kind)
                || format(body, one.name);
        END LOOP;
    END LOOP;
END
$plant$;
RESET search_path;
