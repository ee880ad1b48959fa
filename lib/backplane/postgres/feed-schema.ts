/**
 * Version 2 of the schema: change feeds. A trigger on a table of the app's turns each change of a row into an event.
 *
 * @param s the name of the schema
 */
export function feedSchema(s: string): string {
  return `
create table ${s}.watches (
  relation regclass primary key,
  topic text not null,
  columns text[] not null,
  key text[] not null,
  event text not null
);

-- A value as one word of a topic, which can neither add words nor be a wildcard.
create function ${s}.topic_word(value text) returns text
language sql immutable set search_path = pg_catalog as $$
  select case when octet_length(value) > 200 then md5(value) else
    regexp_replace(replace(replace(replace(replace(replace(value, '%', '%25'), '.', '%2E'), '*', '%2A'), '{', '%7B'), '}', '%7D'),
      '[\\u0001-\\u001f\\u007f]', '%', 'g') end
$$;

-- The topic of a row; nothing where a column of it is null.
create function ${s}.topic_of(template text, fields jsonb) returns text
language plpgsql immutable set search_path = pg_catalog as $$
declare
  topic text := template;
  name text;
begin
  for name in select distinct m[1] from regexp_matches(template, '\\{([^{}]+)\\}', 'g') m loop
    topic := replace(topic, '{' || name || '}', ${s}.topic_word(fields ->> name));
  end loop;
  return topic;
end $$;

create function ${s}.pick(fields jsonb, names text[]) returns jsonb
language sql immutable set search_path = pg_catalog as $$
  select coalesce(jsonb_object_agg(f.key, f.value), '{}') from jsonb_each(fields) f where f.key = any (names)
$$;

create function ${s}.tell(w ${s}.watches, entity text, topic text, kind text, fields jsonb) returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
  change jsonb;
begin
  if topic is null then return; end if;
  change := jsonb_build_object(
    'entity', entity,
    'row_id', case when cardinality(w.key) = 1 then fields -> w.key[1] else ${s}.pick(fields, w.key) end,
    'kind', kind,
    'data', case when kind in ('insert', 'update') then ${s}.pick(fields, w.key || w.columns) end,
    'timestamp', (extract(epoch from clock_timestamp()) * 1000)::bigint);
  if octet_length(change::text) > 65536 then
    change := change || jsonb_build_object('data', ${s}.pick(fields, w.key), 'truncated', true);
  end if;
  perform ${s}.publish_message(change::text, w.event, topic,
    except_client => nullif(current_setting('${s}.except_client', true), ''), is_json => true);
end $$;

create function ${s}.feed() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
  w ${s}.watches;
  before jsonb;
  after jsonb;
  old_topic text;
  new_topic text;
  is_same boolean;
begin
  select * into w from ${s}.watches where relation in (tg_relid, pg_partition_root(tg_relid));
  -- A trigger that a dump has brought without its watch.
  if not found then return null; end if;
  if tg_op <> 'INSERT' then
    before := to_jsonb(old);
    old_topic := ${s}.topic_of(w.topic, before);
  end if;
  if tg_op <> 'DELETE' then
    after := to_jsonb(new);
    new_topic := ${s}.topic_of(w.topic, after);
  end if;
  if tg_op = 'UPDATE' and old_topic is not distinct from new_topic and ${s}.pick(before, w.key) = ${s}.pick(after, w.key) then
    is_same := ${s}.pick(before, w.columns) = ${s}.pick(after, w.columns) and (cardinality(w.columns) > 0 or before = after);
    if is_same then
      return null;
    end if;
    perform ${s}.tell(w, tg_argv[0], new_topic, 'update', after);
    return null;
  end if;
  if before is not null then perform ${s}.tell(w, tg_argv[0], old_topic, 'delete', before); end if;
  if after is not null then perform ${s}.tell(w, tg_argv[0], new_topic, 'insert', after); end if;
  return null;
end $$;

-- Tells all topics of a table that what was heard of it holds no more.
create function ${s}.tell_resync(w ${s}.watches, entity text) returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
  topic text;
begin
  if exists (select from regexp_matches(w.topic, '\\{([^{}]+)\\}', 'g') m
      where m[1] not in (select attname from pg_attribute where attrelid = w.relation and not attisdropped)) then
    raise undefined_column;
  end if;
  for topic in execute format('select distinct ${s}.topic_of(%L, to_jsonb(t)) from %s t', w.topic, w.relation) loop
    perform ${s}.tell(w, entity, topic, 'resync', null);
  end loop;
  if w.topic !~ '\\{' then perform ${s}.tell(w, entity, w.topic, 'resync', null); end if;
exception when insufficient_privilege or undefined_column then
  -- Which topics there are cannot be known: all clients are told.
  perform ${s}.put('{"kind":"loss"}', '{"silence":0}');
end $$;

create function ${s}.feed_truncate() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
  w ${s}.watches;
begin
  select * into w from ${s}.watches where relation in (tg_relid, pg_partition_root(tg_relid));
  if found then perform ${s}.tell_resync(w, tg_argv[0]); end if;
  return null;
end $$;

create function ${s}.feed_schema_change() returns event_trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
  w ${s}.watches;
begin
  for w in select x.* from pg_event_trigger_ddl_commands() c join ${s}.watches x on x.relation = c.objid::regclass
      where c.classid = 'pg_class'::regclass loop
    perform ${s}.tell_resync(w, (select relname from pg_class where oid = w.relation));
  end loop;
end $$;

create function ${s}.watch(relation regclass, topic text, columns text[] default '{}', key text[] default null, event text default 'change')
returns void language plpgsql set search_path = pg_catalog as $$
declare
  names text[] := array(select attname from pg_attribute where attrelid = watch.relation and attnum > 0 and not attisdropped);
  missing text[];
  entity text := (select relname from pg_class where oid = watch.relation);
begin
  key := coalesce(key, array(
    select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
    where i.indrelid = watch.relation and i.indisprimary order by array_position(i.indkey::int2[], a.attnum)));
  if cardinality(key) = 0 then
    raise invalid_parameter_value using message = format('the table %s has no primary key', relation),
      hint = 'Say which columns tell a row: key => ''{id}''.';
  end if;
  missing := array(select n from unnest(key || columns || array(select m[1] from regexp_matches(topic, '\\{([^{}]+)\\}', 'g') m)) n
    where n <> all (names));
  if cardinality(missing) > 0 then
    raise undefined_column using message = format('the table %s has no column %s', relation, array_to_string(missing, ', '));
  end if;
  perform ${s}.check_labels(event, regexp_replace(topic, '\\{[^{}]+\\}', 'x', 'g'), null);
  perform ${s}.unwatch(relation);
  insert into ${s}.watches values (watch.relation, watch.topic, watch.columns, watch.key, watch.event);
  execute format('create trigger pylon_sse_feed after insert or update or delete on %s for each row execute function ${s}.feed(%L)',
    relation, entity);
  execute format('create trigger pylon_sse_truncate before truncate on %s for each statement execute function ${s}.feed_truncate(%L)',
    relation, entity);
  if not exists (select from pg_event_trigger where evtname = '${s}_schema_change') then
    begin
      create event trigger ${s}_schema_change on ddl_command_end when tag in ('ALTER TABLE')
        execute function ${s}.feed_schema_change();
    exception when insufficient_privilege then
      raise notice 'changes of the table''s schema will not be told: a superuser has to create the event trigger';
    end;
  end if;
end $$;

create function ${s}.unwatch(relation regclass) returns void
language plpgsql set search_path = pg_catalog as $$
begin
  execute format('drop trigger if exists pylon_sse_feed on %s', relation);
  execute format('drop trigger if exists pylon_sse_truncate on %s', relation);
  delete from ${s}.watches w where w.relation = unwatch.relation;
end $$;

revoke all on all functions in schema ${s} from public;
`
}
