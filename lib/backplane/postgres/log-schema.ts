/**
 * Version 1 of the schema: the log, and how events get into it.
 *
 * A publisher inserts each event into `events`, in its own transaction. The order of the log is in `commits`: when a transaction
 * commits, the deferred trigger `number` adds a row to it, under a lock that is held until others can see the transaction. So
 * events are numbered in the order of the commits, however long a transaction takes. The numbers come from a sequence, since a
 * transaction that is REPEATABLE READ does not see the newest rows.
 *
 * The setting `<schema>.tx` holds the number of the transaction in `events`, and the id of its publisher. A rollback to a savepoint
 * undoes it, and the trigger clears it: events that follow later in the same transaction get another number.
 *
 * @param s the name of the schema
 */
export function logSchema(s: string): string {
  return `
create table ${s}.state (
  is_row boolean primary key default true check (is_row),
  version integer not null,
  epoch text not null,
  -- The place up to which entries were trimmed, and what tells the entry there from others.
  trimmed bigint not null default 0,
  trimmed_entry text
);
insert into ${s}.state (version, epoch) values (0, substr(md5(gen_random_uuid()::text), 1, 8));

create sequence ${s}.transactions;
create sequence ${s}.places;

create table ${s}.events (
  tx bigint not null,
  k integer not null,
  message text not null,
  labels text not null,
  body text not null,
  primary key (tx, k)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.5);

-- The events of a commit have the places after seq - count, up to seq.
create table ${s}.commits (
  seq bigint primary key,
  tx bigint not null,
  count integer not null,
  at timestamptz not null
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.5);

create function ${s}.put(labels text, body text) returns text
language plpgsql security definer set search_path = pg_catalog as $$
declare
  held text[] := string_to_array(current_setting('${s}.tx', true), ' ');
  xid text := pg_current_xact_id()::text;
  place integer;
begin
  if held is null or held[1] is distinct from xid then
    held := array[xid, nextval('${s}.transactions')::text, gen_random_uuid()::text];
    perform set_config('${s}.tx', array_to_string(held, ' '), true);
    place := 1;
  else
    select coalesce(max(e.k), 0) + 1 into place from ${s}.events e where e.tx = held[2]::bigint;
  end if;
  insert into ${s}.events values (held[2]::bigint, place, held[3] || ':' || place, put.labels, put.body);
  return held[3] || ':' || place;
end $$;

create function ${s}.number() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
declare
  number_of_events integer := (select max(e.k) from ${s}.events e where e.tx = new.tx);
  last bigint;
begin
  perform pg_advisory_xact_lock('${s}.commits'::regclass::oid::bigint);
  if number_of_events = 1 then
    last := nextval('${s}.places');
  else
    last := setval('${s}.places', (select last_value - case when is_called then 0 else 1 end from ${s}.places) + number_of_events);
  end if;
  insert into ${s}.commits values (last, new.tx, number_of_events, clock_timestamp());
  perform set_config('${s}.tx', '', true), set_config('${s}.last', pg_current_xact_id()::text || ' ' || last, true);
  perform pg_notify('${s}', '');
  return null;
end $$;

create constraint trigger number after insert on ${s}.events deferrable initially deferred
for each row when (new.k = 1) execute function ${s}.number();

-- The place of the newest event that the statement sees which calls it: what else it reads includes the changes up to there.
create function ${s}.cursor() returns text
language sql stable security definer set search_path = pg_catalog as $$
  select s.epoch || '-' || coalesce((select max(c.seq) from ${s}.commits c), s.trimmed) from ${s}.state s
$$;

-- The place of the last event that the transaction has published, or null. It numbers the events, so it takes the lock.
create function ${s}.last_cursor() returns text
language plpgsql security definer set search_path = pg_catalog as $$
declare
  last text[];
begin
  set constraints ${s}.number immediate;
  set constraints ${s}.number deferred;
  last := string_to_array(current_setting('${s}.last', true), ' ');
  if last is null or last[1] is distinct from pg_current_xact_id()::text then return null; end if;
  return (select s.epoch from ${s}.state s) || '-' || last[2];
end $$;

-- What must hold for the labels of an event, as for those of app.sse.publish.
create function ${s}.check_labels(event text, topic text, id text) returns void
language plpgsql immutable set search_path = pg_catalog as $$
begin
  if event ~ E'[\\r\\n]' or event = any (array['connected', 'keepalive', 'resync', 'stay-away', 'open', 'error']) then
    raise invalid_parameter_value using
      message = format('event got %L; it takes a name without line breaks that is not one of the plugin''s own', event);
  end if;
  if topic = '' or topic ~ '[\u0001-\u001f\u007f]' or position('*' in topic) > 0 or octet_length(topic) > 1024 then
    raise invalid_parameter_value using message = format(
      'topic got %L; it takes a name without control characters, in words with ''.'' between, and without ''*''', topic);
  end if;
  if id !~ '^[\u0020-\u007e]+$' or length(id) > 1024 or trim(id) in ('', 'stay-away') or id ~ '^[0-9a-z]{8}-[0-9]+(-[0-9a-z]{7})?$' then
    raise invalid_parameter_value using message = format(
      'id got %L; it takes up to 1024 characters of printable ASCII, and none of the form that the log gives by itself', id);
  end if;
end $$;

create function ${s}.publish_message(
  text text, event text default null, topic text default null, id text default null, except_client text default null,
  is_json boolean default false
) returns text
language plpgsql security definer set search_path = pg_catalog as $$
declare
  lines text := regexp_replace(coalesce(text, ''), E'\\r\\n|\\r|\\n', E'\\ndata: ', 'g');
  body text := case when event <> '' then 'event: ' || event || E'\\n' else '' end || 'data: ' || lines || E'\\n\\n';
begin
  perform ${s}.check_labels(event, topic, id);
  if octet_length(body) > 1048576 then
    raise program_limit_exceeded using message = format('the event has %s bytes; it may have 1048576', octet_length(body));
  end if;
  return ${s}.put(jsonb_strip_nulls(jsonb_build_object(
    'id', id, 'topic', topic, 'except', except_client, 'isText', case when not is_json then true end))::text, body);
end $$;

-- In plpgsql, since a function in SQL that cannot be inlined is planned at each call.
create function ${s}.publish(
  data text, event text default null, topic text default null, id text default null, except_client text default null
) returns text
language plpgsql security definer set search_path = pg_catalog as $$
begin
  return ${s}.publish_message(coalesce(data::json::text, 'null'), event, topic, id, except_client, true);
end $$;
create function ${s}.publish(
  data jsonb, event text default null, topic text default null, id text default null, except_client text default null
) returns text
language plpgsql security definer set search_path = pg_catalog as $$
begin
  return ${s}.publish_message(coalesce(data::text, 'null'), event, topic, id, except_client, true);
end $$;
create function ${s}.publish(
  data json, event text default null, topic text default null, id text default null, except_client text default null
) returns text
language plpgsql security definer set search_path = pg_catalog as $$
begin
  return ${s}.publish_message(coalesce(data::text, 'null'), event, topic, id, except_client, true);
end $$;

-- Appends a batch of a process, in a transaction of its own, and gives the cursor of the last.
create function ${s}.append(messages text[], labels text[], bodies text[]) returns text
language plpgsql security definer set search_path = pg_catalog as $$
declare
  tx bigint := nextval('${s}.transactions');
begin
  perform set_config('lock_timeout', '2000', true);
  insert into ${s}.events select tx, u.k, u.message, u.label, u.body
  from unnest(messages, labels, bodies) with ordinality as u (message, label, body, k);
  set constraints ${s}.number immediate;
  return (select s.epoch from ${s}.state s) || '-' || currval('${s}.places');
end $$;

-- Deletes some of the oldest events, where no other process does, and tells how many are gone.
create function ${s}.trim(max_events bigint, max_age interval, batch integer) returns bigint
language plpgsql security definer set search_path = pg_catalog as $$
declare
  newest bigint;
  first bigint;
  bound bigint;
  entry text;
begin
  if not pg_try_advisory_xact_lock(('${s}.state'::regclass::oid::bigint)) then return 0; end if;
  select c.seq into newest from ${s}.commits c order by c.seq desc limit 1;
  select greatest(c.seq - c.count, s.trimmed) into first from ${s}.commits c, ${s}.state s order by c.seq limit 1;
  if newest is null then return 0; end if;
  bound := newest - max_events;
  if max_age is not null then
    bound := greatest(bound, coalesce(
      (select c.seq - c.count from ${s}.commits c where c.at >= clock_timestamp() - max_age order by c.seq limit 1), newest));
  end if;
  bound := least(bound, first + batch);
  if bound <= first then return 0; end if;
  select e.message || ' ' || e.labels into entry
  from (select c.* from ${s}.commits c where c.seq - c.count < bound order by c.seq desc limit 1) c
  join ${s}.events e on e.tx = c.tx and e.k <= bound - c.seq + c.count order by e.k desc limit 1;
  delete from ${s}.events e using (
    select c.tx, c.seq - c.count as base from ${s}.commits c
    where c.seq <= (select seq from ${s}.commits where seq >= bound order by seq limit 1)
  ) c where e.tx = c.tx and e.k <= bound - c.base;
  delete from ${s}.commits where seq <= bound;
  update ${s}.state set trimmed = bound, trimmed_entry = entry;
  return bound - first;
end $$;

-- A table that is emptied by hand is another log, which is told by another epoch.
create function ${s}.begin_anew() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
  delete from ${s}.events;
  delete from ${s}.commits;
  update ${s}.state set epoch = substr(md5(gen_random_uuid()::text), 1, 8),
    trimmed = (select last_value - case when is_called then 0 else 1 end from ${s}.places), trimmed_entry = null;
  perform pg_notify('${s}', '');
  return null;
end $$;
create trigger begin_anew after truncate on ${s}.events for each statement execute function ${s}.begin_anew();
create trigger begin_anew after truncate on ${s}.commits for each statement execute function ${s}.begin_anew();

revoke all on all functions in schema ${s} from public;
`
}
