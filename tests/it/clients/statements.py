"""Statements that tools send when they connect, look at tables and draw: each must be answered in both protocols."""
import psycopg
from checks import DATABASE, HOST, PASSWORD, PORT, USER, run

TOOLS = {
    "Npgsql and Power BI": """
SELECT version()
SELECT ns.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.elemtypoid FROM (SELECT typ.oid, typ.typnamespace, typ.typname, typ.typtype, typ.typrelid, typ.typnotnull, typ.relkind, elemtyp.oid AS elemtypoid, elemtyp.typname AS elemtypname, elemcls.relkind AS elemrelkind, CASE WHEN elemproc.proname='array_recv' THEN 'a' ELSE elemtyp.typtype END AS elemtyptype FROM (SELECT typ.oid, typnamespace, typname, typrelid, typnotnull, relkind, typelem AS elemoid, CASE WHEN proc.proname='array_recv' THEN 'a' ELSE typ.typtype END AS typtype, CASE WHEN proc.proname='array_recv' THEN typ.typelem WHEN typ.typtype='r' THEN rngsubtype WHEN typ.typtype='d' THEN typ.typbasetype END AS elemtypoid FROM pg_type AS typ LEFT JOIN pg_class AS cls ON (cls.oid = typ.typrelid) LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive LEFT JOIN pg_range ON (pg_range.rngtypid = typ.oid)) AS typ LEFT JOIN pg_type AS elemtyp ON elemtyp.oid = elemtypoid LEFT JOIN pg_class AS elemcls ON (elemcls.oid = elemtyp.typrelid) LEFT JOIN pg_proc AS elemproc ON elemproc.oid = elemtyp.typreceive) AS t JOIN pg_namespace AS ns ON (ns.oid = t.typnamespace) WHERE typtype IN ('b', 'r', 'm', 'e', 'd') OR (t.typtype = 'c' AND t.relkind = 'c') ORDER BY t.oid
SELECT typ.oid, att.attname, att.atttypid FROM pg_type AS typ JOIN pg_namespace AS ns ON (ns.oid = typ.typnamespace) JOIN pg_class AS cls ON (cls.oid = typ.typrelid) JOIN pg_attribute AS att ON (att.attrelid = typ.typrelid) WHERE (typ.typtype = 'c' AND cls.relkind='c') AND attnum > 0 AND NOT attisdropped ORDER BY typ.oid, att.attnum
SELECT pg_type.oid, enumlabel FROM pg_enum JOIN pg_type ON pg_type.oid=enumtypid ORDER BY oid, enumsortorder
SELECT character_set_name FROM information_schema.character_sets
select TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE from INFORMATION_SCHEMA.tables where TABLE_SCHEMA not in ('information_schema', 'pg_catalog') order by TABLE_SCHEMA, TABLE_NAME
select COLUMN_NAME, ORDINAL_POSITION, IS_NULLABLE, case when (data_type like '%unsigned%') then DATA_TYPE || ' unsigned' else DATA_TYPE end as DATA_TYPE from INFORMATION_SCHEMA.columns where TABLE_SCHEMA = 'public' and TABLE_NAME = 'stops' order by TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION
select i.CONSTRAINT_SCHEMA || '_' || i.CONSTRAINT_NAME as INDEX_NAME, ii.COLUMN_NAME, ii.ORDINAL_POSITION, case when i.CONSTRAINT_TYPE = 'PRIMARY KEY' then 'Y' else 'N' end as PRIMARY_KEY from INFORMATION_SCHEMA.table_constraints i inner join INFORMATION_SCHEMA.key_column_usage ii on i.CONSTRAINT_SCHEMA = ii.CONSTRAINT_SCHEMA and i.CONSTRAINT_NAME = ii.CONSTRAINT_NAME and i.TABLE_SCHEMA = ii.TABLE_SCHEMA and i.TABLE_NAME = ii.TABLE_NAME where i.TABLE_SCHEMA = 'public' and i.TABLE_NAME = 'events' and i.CONSTRAINT_TYPE in ('PRIMARY KEY', 'UNIQUE') order by i.CONSTRAINT_NAME, ii.TABLE_SCHEMA, ii.TABLE_NAME, ii.ORDINAL_POSITION
select "$Table"."event_id" as "event_id", "$Table"."outcome" as "outcome" from "public"."events" "$Table" limit 200
""",
    "JDBC": """
SHOW TRANSACTION ISOLATION LEVEL
SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, c.relname AS TABLE_NAME, CASE n.nspname ~ '^pg_' OR n.nspname = 'information_schema' WHEN true THEN CASE WHEN n.nspname = 'pg_catalog' OR n.nspname = 'information_schema' THEN CASE c.relkind WHEN 'r' THEN 'SYSTEM TABLE' WHEN 'v' THEN 'SYSTEM VIEW' WHEN 'i' THEN 'SYSTEM INDEX' ELSE NULL END ELSE NULL END WHEN false THEN CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW' ELSE NULL END ELSE NULL END AS TABLE_TYPE, d.description AS REMARKS FROM pg_catalog.pg_namespace n, pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_description d ON (c.oid = d.objoid AND d.objsubid = 0 AND d.classoid = 'pg_class'::regclass) WHERE c.relnamespace = n.oid AND c.relname LIKE 'event%' ORDER BY TABLE_TYPE, TABLE_SCHEM, TABLE_NAME
SELECT nspname AS TABLE_SCHEM, NULL AS TABLE_CATALOG FROM pg_catalog.pg_namespace WHERE nspname <> 'pg_toast' AND (nspname !~ '^pg_temp_' OR nspname = (pg_catalog.current_schemas(true))[1]) AND (nspname !~ '^pg_toast_temp_' OR nspname = replace((pg_catalog.current_schemas(true))[1], 'pg_temp_', 'pg_toast_temp_')) ORDER BY TABLE_SCHEM
SELECT * FROM (SELECT n.nspname,c.relname,a.attname,a.atttypid,a.attnotnull OR (t.typtype = 'd' AND t.typnotnull) AS attnotnull,a.atttypmod,a.attlen,t.typtypmod,row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS attnum, nullif(a.attidentity, '') as attidentity,nullif(a.attgenerated, '') as attgenerated,pg_catalog.pg_get_expr(def.adbin, def.adrelid) AS adsrc,dsc.description,t.typbasetype,t.typtype FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON (c.relnamespace = n.oid) JOIN pg_catalog.pg_attribute a ON (a.attrelid=c.oid) JOIN pg_catalog.pg_type t ON (a.atttypid = t.oid) LEFT JOIN pg_catalog.pg_attrdef def ON (a.attrelid=def.adrelid AND a.attnum = def.adnum) LEFT JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid) LEFT JOIN pg_catalog.pg_class dc ON (dc.oid=dsc.classoid AND dc.relname='pg_class') LEFT JOIN pg_catalog.pg_namespace dn ON (dc.relnamespace=dn.oid AND dn.nspname='pg_catalog') WHERE c.relkind in ('r','p','v','f','m') and a.attnum > 0 AND NOT a.attisdropped AND c.relname LIKE 'stops') c WHERE true ORDER BY nspname,c.relname,attnum
SELECT datname AS TABLE_CAT FROM pg_catalog.pg_database WHERE datallowconn = true ORDER BY datname
SELECT t.typname,t.oid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON (t.typnamespace = n.oid) WHERE n.nspname != 'pg_toast' AND (t.typrelid = 0 OR (SELECT c.relkind = 'c' FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid))
""",
    "Metabase": """
SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ UNCOMMITTED
SHOW transaction_isolation
SELECT current_catalog
SELECT current_database(), current_schema(), current_user
select n.nspname as schema, c.relname as name, case c.relkind when 'r' then 'TABLE' when 'v' then 'VIEW' else 'OTHER' end as type from pg_catalog.pg_class c join pg_catalog.pg_namespace n on c.relnamespace = n.oid where c.relkind in ('r','p','v','f','m') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' order by 1,2
select c.column_name as name, c.udt_name as database_type, c.ordinal_position - 1 as position, c.table_schema as schema, c.table_name as name2, not (c.column_default is null) as has_default, c.is_identity = 'YES' as generated from information_schema.columns c where c.table_schema !~ '^information_schema|catalog_history|pg_' and c.table_schema in ('public') order by 4,5,3
with table_privileges as (select NULL as role, t.schemaname as schema, t.objectname as table, pg_catalog.has_table_privilege(current_user, '"' || t.schemaname || '"' || '.' || '"' || t.objectname || '"', 'UPDATE') as update, pg_catalog.has_table_privilege(current_user, '"' || t.schemaname || '"' || '.' || '"' || t.objectname || '"', 'SELECT') as select from (select schemaname, tablename as objectname from pg_catalog.pg_tables union select schemaname, viewname as objectname from pg_catalog.pg_views union select schemaname, matviewname as objectname from pg_catalog.pg_matviews) t where t.schemaname !~ '^pg_' and t.schemaname <> 'information_schema' and pg_catalog.has_schema_privilege(current_user, t.schemaname, 'USAGE')) select t.* from table_privileges t
SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND has_schema_privilege(nspname, 'USAGE')
SELECT nspname, typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid IN (SELECT DISTINCT e.enumtypid FROM pg_enum e)
SELECT "public"."events"."event_id" AS "event_id", "public"."events"."user_name" AS "user_name" FROM "public"."events" LIMIT 2000
SELECT COUNT(*) FROM "public"."events" WHERE (LOWER("public"."events"."user_name") LIKE '%a%')
SELECT "source"."substring1" FROM (SELECT SUBSTRING("public"."events"."user_agent", 1, 1234) AS "substring1" FROM "public"."events" LIMIT 10000) AS "source"
""",
    "Superset": """
SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg_%' ORDER BY nspname
SELECT * FROM public.events LIMIT 100
SELECT user_name AS user_name, COUNT(*) AS count FROM (SELECT * FROM events WHERE outcome='failure') AS virtual_table GROUP BY user_name ORDER BY count DESC LIMIT 100
SELECT DATE_TRUNC('day', event_time) AS __timestamp, COUNT(*) AS count FROM public.events GROUP BY DATE_TRUNC('day', event_time) ORDER BY count DESC LIMIT 10000
EXPLAIN SELECT count(*) FROM public.events
""",
    "Tableau": """
SET DateStyle = 'ISO'
SET extra_float_digits = 2
show transaction_isolation
select oid, typbasetype from pg_type where typname = 'lo'
SELECT NULL, n.nspname, c.relname, CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'v' THEN 'VIEW' END FROM pg_catalog.pg_class c, pg_catalog.pg_namespace n WHERE relkind IN ('r', 'v') AND n.oid = relnamespace AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'pg_temp_1') ORDER BY nspname, relname
select n.nspname, c.relname, a.attname, a.atttypid, t.typname, a.attnum, a.attlen, a.atttypmod, a.attnotnull, c.relhasrules, c.relkind, c.oid, pg_get_expr(d.adbin, d.adrelid), case t.typtype when 'd' then t.typbasetype else 0 end, t.typtypmod from (((pg_catalog.pg_class c inner join pg_catalog.pg_namespace n on n.oid = c.relnamespace and c.relname like 'events' and n.nspname like 'public') inner join pg_catalog.pg_attribute a on (not a.attisdropped) and a.attnum > 0 and a.attrelid = c.oid) inner join pg_catalog.pg_type t on t.oid = a.atttypid) left outer join pg_attrdef d on a.atthasdef and d.adrelid = a.attrelid and d.adnum = a.attnum order by n.nspname, c.relname, attnum
SELECT "events"."user_name" AS "user_name", SUM(1) AS "sum:Number of Records:ok" FROM "public"."events" "events" GROUP BY 1
SELECT CAST("events"."user_name" AS TEXT) AS "user_name" FROM "public"."events" "events" WHERE ("events"."outcome" = 'failure') GROUP BY 1
""",
    "DBeaver": """
SHOW search_path
SELECT db.oid,db.* FROM pg_catalog.pg_database db WHERE datallowconn AND NOT datistemplate OR db.datname = 'lake' ORDER BY db.datname
SELECT n.oid,n.*,d.description FROM pg_catalog.pg_namespace n LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=n.oid AND d.objsubid=0 AND d.classoid='pg_namespace'::regclass ORDER BY nspname
SELECT c.oid,c.*,d.description FROM pg_catalog.pg_class c LEFT OUTER JOIN pg_catalog.pg_description d ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_class'::regclass WHERE c.relnamespace=2200 AND c.relkind not in ('i','I','c')
SELECT c.relname,a.*,pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) as def_value,dsc.description FROM pg_catalog.pg_attribute a INNER JOIN pg_catalog.pg_class c ON (a.attrelid=c.oid) LEFT OUTER JOIN pg_catalog.pg_attrdef ad ON (a.attrelid=ad.adrelid AND a.attnum = ad.adnum) LEFT OUTER JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid) WHERE NOT a.attisdropped AND c.relname='events' ORDER BY a.attnum
SELECT current_schema(),session_user
SELECT t.oid,t.*,c.relkind,format_type(nullif(t.typbasetype, 0), t.typtypmod) as base_type_name FROM pg_catalog.pg_type t LEFT OUTER JOIN pg_catalog.pg_class c ON c.oid=t.typrelid WHERE t.typname IS NOT NULL AND (c.relkind IS NULL OR c.relkind = 'c')
select * from pg_catalog.pg_settings
select * from pg_catalog.pg_roles
SELECT e.oid, e.* FROM pg_catalog.pg_extension e
""",
    "psql": """
SELECT n.nspname as "Schema", c.relname as "Name", CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' END as "Type", pg_catalog.pg_get_userbyid(c.relowner) as "Owner" FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r','p','v','m','S','f','') AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast' AND n.nspname <> 'information_schema' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1,2
SELECT d.datname as "Name", pg_catalog.pg_get_userbyid(d.datdba) as "Owner", pg_catalog.pg_encoding_to_char(d.encoding) as "Encoding", d.datcollate as "Collate", d.datctype as "Ctype" FROM pg_catalog.pg_database d ORDER BY 1
SELECT n.nspname AS "Name", pg_catalog.pg_get_userbyid(n.nspowner) AS "Owner" FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1
SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname OPERATOR(pg_catalog.~) '^(events)$' COLLATE pg_catalog.default AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 2, 3
SHOW ALL
""",
    "Grafana, Fivetran and others": """
SELECT current_setting('server_version_num')::int/100 as version
SELECT quote_ident(table_name) FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog') ORDER BY 1
SELECT schema_name FROM information_schema.schemata
SELECT table_name FROM information_schema.views WHERE table_schema = 'public'
SELECT tc.constraint_name, kcu.column_name FROM information_schema.table_constraints tc JOIN information_schema.key_column_usage kcu ON tc.constraint_name = kcu.constraint_name
SELECT grantee, privilege_type FROM information_schema.role_table_grants WHERE table_name = 'events'
SELECT rolname FROM pg_roles
SELECT usename FROM pg_user
SELECT name, setting FROM pg_settings WHERE name = 'server_version'
SELECT 'events'::regclass::oid
SELECT 'public.events'::regclass::text
SELECT to_regclass('nothing') IS NULL
SELECT c.oid::regclass::text FROM pg_class c WHERE c.relname = 'events'
SELECT a.attname, a.atttypid::regtype::text FROM pg_attribute a WHERE a.attrelid = 'events'::regclass AND a.attnum > 0
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'public.stops'::regclass
SELECT count(*) FROM lake.public.events
SELECT pg_is_in_recovery(), pg_backend_pid() > 0
SELECT obj_description('events'::regclass, 'pg_class')
SELECT * FROM pg_catalog.pg_stat_activity
SELECT indexname FROM pg_indexes WHERE tablename = 'events'
SELECT current_schemas(true), current_schemas(false)
SELECT set_config('application_name', 'x', false)
SELECT has_table_privilege('events', 'SELECT'), has_table_privilege('events', 'INSERT')
SELECT has_database_privilege('lake', 'CONNECT')
SELECT typname, typcategory FROM pg_type WHERE oid = 1009
SELECT extname, extversion FROM pg_extension
SELECT tablename FROM pg_tables WHERE schemaname = 'public'
SELECT relname, reltuples, relpages FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
SHOW server_version
SHOW TimeZone
SHOW lc_collate
SHOW TABLES
DESCRIBE events
""",
}


def state(db, sql, prepare):
    try:
        cursor = db.execute(sql, prepare=prepare)
        if cursor.description:
            cursor.fetchall()
        return None
    except psycopg.Error as error:
        return f"{error.sqlstate} {error}"


def statements():
    login = dict(host=HOST, port=PORT, user=USER, password=PASSWORD, dbname=DATABASE, autocommit=True)
    refused, answered = [], 0
    for tool, lines in TOOLS.items():
        for prepare in (False, True):
            factory = psycopg.Cursor if prepare else psycopg.ClientCursor
            with psycopg.connect(**login, cursor_factory=factory) as db:
                for sql in lines.strip().splitlines():
                    failed = state(db, sql, prepare or None)
                    answered += failed is None
                    if failed:
                        refused.append([tool, "prepared" if prepare else "simple", sql, failed])
    return refused, answered


refused, answered = statements()
run(refused=lambda: refused, answered=lambda: answered)
