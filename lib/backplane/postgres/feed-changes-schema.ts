/**
 * Version 3 of the schema: clients are told when a watched table, or a partition of it, is truncated, altered, attached, detached or
 * dropped. For `truncate` each partition has a trigger, since partitions do not inherit that of the table; event triggers find the
 * other changes.
 *
 * `tell_resync` tells the clients of the table's topics to refetch, since what they have of its rows may be out of date. Where the
 * topics cannot be found out, or not fast enough, it tells all clients.
 *
 * @param s the name of the schema
 */
export function feedChangesSchema(s: string): string {
  return `
-- A table that is renamed keeps its name in its events.
alter table ${s}.watches add column entity text not null default '';
update ${s}.watches w set entity = coalesce((select relname from pg_class where oid = w.relation), w.relation::text);

-- What is known of the partitions of watched tables once they are detached or dropped.
create table ${s}.watched_partitions (
  relation regclass primary key,
  root regclass not null references ${s}.watches on delete cascade
);

create function ${s}.watch_of(relation oid) returns ${s}.watches
language plpgsql stable security definer set search_path = pg_catalog as $$
declare
  w ${s}.watches;
begin
  select * into w from ${s}.watches x where x.relation = watch_of.relation;
  if not found then
    select * into w from ${s}.watches x where x.relation in (select pg_partition_ancestors(watch_of.relation));
  end if;
  return w;
end $$;

create or replace function ${s}.feed() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
  w ${s}.watches;
  before jsonb;
  after jsonb;
  old_topic text;
  new_topic text;
begin
  w := ${s}.watch_of(tg_relid);
  -- A trigger that a dump has brought without its watch.
  if w.relation is null then return null; end if;
  if tg_op <> 'INSERT' then
    before := to_jsonb(old);
    old_topic := ${s}.topic_of(w.topic, before);
  end if;
  if tg_op <> 'DELETE' then
    after := to_jsonb(new);
    new_topic := ${s}.topic_of(w.topic, after);
  end if;
  if tg_op = 'UPDATE' and old_topic is not distinct from new_topic and ${s}.pick(before, w.key) = ${s}.pick(after, w.key) then
    if ${s}.pick(before, w.columns) = ${s}.pick(after, w.columns) and (cardinality(w.columns) > 0 or before = after) then
      return null;
    end if;
    perform ${s}.tell(w, w.entity, new_topic, 'update', after);
    return null;
  end if;
  if before is not null then perform ${s}.tell(w, w.entity, old_topic, 'delete', before); end if;
  if after is not null then perform ${s}.tell(w, w.entity, new_topic, 'insert', after); end if;
  return null;
end $$;

drop function ${s}.tell_resync(${s}.watches, text);

-- Tells the topics of the rows of a table that what was heard of them holds no more. Without a table, all clients.
create function ${s}.tell_resync(w ${s}.watches, source regclass) returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
  topic text;
begin
  if w.topic !~ '\\{[^{}]+\\}' then
    perform ${s}.tell(w, w.entity, w.topic, 'resync', null);
    return;
  end if;
  -- A table of more than 8 MiB would take seconds to read, under the lock of who truncates or alters it.
  if pg_relation_size(source) + coalesce((select sum(pg_relation_size(t.relid)) from pg_partition_tree(source) t), 0) <= 8388608
      and cardinality(${s}.missing_columns(w, source)) = 0 then
    begin
      for topic in execute format('select distinct ${s}.topic_of(%L, to_jsonb(t)) from %s t', w.topic, source) loop
        perform ${s}.tell(w, w.entity, topic, 'resync', null);
      end loop;
      return;
    exception when insufficient_privilege then null;
    end;
  end if;
  perform ${s}.put('{"kind":"loss"}', '{"silence":0}');
end $$;

-- The columns that a topic is made of, and others that are named, which a table lacks.
create function ${s}.missing_columns(w ${s}.watches, source regclass, others text[] default '{}') returns text[]
language sql stable set search_path = pg_catalog as $$
  select array(select n from unnest(others || array(select m[1] from regexp_matches(w.topic, '\\{([^{}]+)\\}', 'g') m)) n
    where n not in (select attname from pg_attribute where attrelid = source and attnum > 0 and not attisdropped))
$$;

create or replace function ${s}.feed_truncate() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
  w ${s}.watches := ${s}.watch_of(tg_relid);
  whole text := w.relation::oid::text;
begin
  if w.relation is null then return null; end if;
  if tg_when = 'AFTER' then
    perform set_config('${s}.truncating', '', true);
  elsif tg_relid = w.relation then
    -- The triggers of its partitions follow before the one that comes after.
    perform set_config('${s}.truncating', whole, true);
    perform ${s}.tell_resync(w, tg_relid);
  elsif current_setting('${s}.truncating', true) is distinct from whole then
    perform ${s}.tell_resync(w, tg_relid);
  end if;
  return null;
end $$;

-- Gives the partitions that hold rows a trigger for truncate.
create function ${s}.watch_partitions(root regclass) returns void
language plpgsql set search_path = pg_catalog as $$
declare
  leaf regclass;
begin
  for leaf in select t.relid from pg_partition_tree(root) t join pg_class c on c.oid = t.relid
      where t.isleaf and t.relid <> root and c.relkind = 'r' and not exists (
        select from ${s}.watched_partitions p where p.relation = t.relid and p.root = watch_partitions.root) loop
    execute format('create or replace trigger pylon_sse_truncate before truncate on %s for each statement '
      'execute function ${s}.feed_truncate()', leaf);
    delete from ${s}.watched_partitions p where p.relation = leaf;
    insert into ${s}.watched_partitions values (leaf, root);
  end loop;
end $$;

create function ${s}.tell_schema_change(tag text) returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
  command record;
  w ${s}.watches;
  part regclass;
  missing text[];
begin
  for command in select x.relation, bool_or(x.relation = c.objid or k.relkind = 'p') as is_whole
      from pg_event_trigger_ddl_commands() c join pg_class k on k.oid = c.objid
      join ${s}.watches x on x.relation = c.objid or x.relation in (select pg_partition_ancestors(c.objid))
      where c.classid = 'pg_class'::regclass group by 1 loop
    w := ${s}.watch_of(command.relation);
    if command.is_whole and tag = 'ALTER TABLE' then
      for part in delete from ${s}.watched_partitions p where p.root = w.relation
          and not exists (select from pg_partition_tree(w.relation) t where t.relid = p.relation) returning p.relation loop
        perform ${s}.tell_resync(w, part);
      end loop;
      perform ${s}.tell_resync(w, w.relation);
      missing := ${s}.missing_columns(w, w.relation, w.key || w.columns);
      if cardinality(missing) > 0 then
        raise warning 'the change feed of the table % lacks the column %', w.relation, array_to_string(missing, ', ')
          using hint = 'Call ${s}.watch again, with the new names.';
      end if;
    end if;
    perform ${s}.watch_partitions(w.relation);
  end loop;
end $$;

-- Before a column that a topic may be made of gets another type: the topics of the rows become others.
create function ${s}.tell_rewrite() returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
  w ${s}.watches;
begin
  if pg_event_trigger_table_rewrite_reason() & 4 = 0 then return; end if;
  w := ${s}.watch_of(pg_event_trigger_table_rewrite_oid());
  if w.topic ~ '\\{[^{}]+\\}' then perform ${s}.tell_resync(w, null); end if;
end $$;

create function ${s}.tell_drop(tag text) returns void
language plpgsql security definer set search_path = pg_catalog as $$
declare
  w ${s}.watches;
  dropped oid[] := array(select objid from pg_event_trigger_dropped_objects() where classid = 'pg_class'::regclass and objsubid = 0);
  -- As DROP TYPE does it; those of ALTER TABLE are told by that.
  thinned oid[] := array(select objid from pg_event_trigger_dropped_objects()
    where classid = 'pg_class'::regclass and objsubid <> 0 and tag <> 'ALTER TABLE');
begin
  for w in delete from ${s}.watches x where x.relation = any (dropped) returning x.* loop
    perform ${s}.tell_resync(w, null);
  end loop;
  for w in select * from ${s}.watches x where x.relation = any (thinned) loop
    perform ${s}.tell_resync(w, w.relation);
  end loop;
  for w in select * from ${s}.watches x where exists (
      select from ${s}.watched_partitions p where p.root = x.relation and p.relation = any (dropped)) loop
    delete from ${s}.watched_partitions p where p.relation = any (dropped);
    perform ${s}.tell_resync(w, null);
  end loop;
end $$;

-- This runs in the statements of others, which must not fail by it. What it calls may not even compile, where a part is gone.
create or replace function ${s}.feed_schema_change() returns event_trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
  if tg_event = 'sql_drop' then perform ${s}.tell_drop(tg_tag);
  elsif tg_event = 'table_rewrite' then perform ${s}.tell_rewrite();
  else perform ${s}.tell_schema_change(tg_tag);
  end if;
exception when others then
  raise warning 'a change of the schema could not be told to the change feeds of ${s}: %', sqlerrm;
end $$;

create function ${s}.watch_schema() returns void
language plpgsql set search_path = pg_catalog as $$
begin
  if not exists (select from pg_event_trigger where evtname = '${s}_schema_change') then
    create event trigger ${s}_schema_change on ddl_command_end when tag in ('ALTER TABLE') execute function ${s}.feed_schema_change();
  end if;
  if not exists (select from pg_event_trigger where evtname = '${s}_new_table') then
    create event trigger ${s}_new_table on ddl_command_end when tag in ('CREATE TABLE') execute function ${s}.feed_schema_change();
  end if;
  if not exists (select from pg_event_trigger where evtname = '${s}_rewrite') then
    create event trigger ${s}_rewrite on table_rewrite execute function ${s}.feed_schema_change();
  end if;
  if not exists (select from pg_event_trigger where evtname = '${s}_drop') then
    create event trigger ${s}_drop on sql_drop when tag in ('DROP TABLE', 'DROP FOREIGN TABLE', 'DROP SCHEMA', 'DROP OWNED', 'DROP TYPE',
      'DROP DOMAIN', 'DROP EXTENSION') execute function ${s}.feed_schema_change();
  end if;
exception when insufficient_privilege then
  raise notice 'changes of the table''s schema will not be told: a superuser has to create the event triggers'
    using hint = 'Have a superuser call ${s}.watch_schema().';
end $$;

create or replace function ${s}.watch(
  relation regclass, topic text, columns text[] default '{}', key text[] default null, event text default 'change'
) returns void language plpgsql set search_path = pg_catalog as $$
declare
  w ${s}.watches;
  missing text[];
begin
  key := coalesce(key, array(
    select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
    where i.indrelid = watch.relation and i.indisprimary order by array_position(i.indkey::int2[], a.attnum)));
  if cardinality(key) = 0 then
    raise invalid_parameter_value using message = format('the table %s has no primary key', relation),
      hint = 'Say which columns tell a row: key => ''{id}''.';
  end if;
  w := row(relation, topic, columns, key, event, (select relname from pg_class where oid = watch.relation));
  missing := ${s}.missing_columns(w, relation, key || columns);
  if cardinality(missing) > 0 then
    raise undefined_column using message = format('the table %s has no column %s', relation, array_to_string(missing, ', '));
  end if;
  perform ${s}.check_labels(event, regexp_replace(topic, '\\{[^{}]+\\}', 'x', 'g'), null);
  perform ${s}.unwatch(relation);
  insert into ${s}.watches select w.*;
  execute format('create trigger pylon_sse_feed after insert or update or delete on %s for each row '
    'execute function ${s}.feed()', relation);
  execute format('create trigger pylon_sse_truncate before truncate on %s for each statement '
    'execute function ${s}.feed_truncate()', relation);
  execute format('create trigger pylon_sse_truncated after truncate on %s for each statement '
    'execute function ${s}.feed_truncate()', relation);
  perform ${s}.watch_partitions(relation);
  perform ${s}.watch_schema();
end $$;

create or replace function ${s}.unwatch(relation regclass) returns void
language plpgsql set search_path = pg_catalog as $$
declare
  part regclass;
begin
  execute format('drop trigger if exists pylon_sse_feed on %s', relation);
  execute format('drop trigger if exists pylon_sse_truncate on %s', relation);
  execute format('drop trigger if exists pylon_sse_truncated on %s', relation);
  for part in select c.oid from ${s}.watched_partitions p join pg_class c on c.oid = p.relation where p.root = unwatch.relation loop
    execute format('drop trigger if exists pylon_sse_truncate on %s', part);
  end loop;
  delete from ${s}.watches w where w.relation = unwatch.relation;
end $$;

-- The feeds that there are get what is new.
do $$
declare
  w ${s}.watches;
begin
  for w in select * from ${s}.watches loop
    begin
      perform ${s}.watch(w.relation, w.topic, w.columns, w.key, w.event);
    exception when others then
      raise warning 'the change feed of the table % is as it was: %', w.relation, sqlerrm
        using hint = 'Have the owner of the table call ${s}.watch again.';
    end;
  end loop;
end $$;

revoke all on all functions in schema ${s} from public;
`
}
