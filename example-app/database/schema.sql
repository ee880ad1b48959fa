-- The tables of the task board, and what tells open pages of their changes.

create schema board;

create table board.settings (
  is_row boolean primary key default true check (is_row),
  -- Signs the cookies. An app that others use has it in its configuration instead.
  secret text not null default gen_random_uuid() || '' || gen_random_uuid()
);
insert into board.settings default values;

create table board.sessions (
  id uuid primary key default gen_random_uuid(),
  person text not null,
  expires_at timestamptz not null
);

create table board.rooms (
  -- The name in URLs and topics.
  name text primary key,
  number integer generated always as identity,
  title text not null,
  creator text,
  -- Those who may enter; null for everyone.
  members text[],
  -- The topics on which the new room is announced.
  audience text[] not null default '{lobby}'
);

create table board.tasks (
  id uuid primary key default gen_random_uuid(),
  room text not null references board.rooms on delete cascade,
  title text not null,
  -- Who wrote the title as it is.
  author text not null,
  status text not null default 'todo' check (status in ('todo', 'doing', 'done')),
  -- The task that entered a column last has the highest, and is the first in it.
  position integer not null,
  -- A deleted task stays for a while, so that deleting can be undone.
  deleted_at timestamptz,
  changed_by text not null
);
create index on board.tasks (room);

-- Every change of a task becomes an event on the topic of its room, whoever makes it.
select pylon_sse.watch('board.tasks', topic => 'room.{room}',
  columns => '{title,author,status,position,deleted_at,changed_by}');

-- The app says who makes a change. In psql it is the user of the database.
create function board.complete_task() returns trigger language plpgsql as $$
begin
  new.changed_by := coalesce(nullif(current_setting('board.person', true), ''), session_user);
  if tg_op = 'INSERT' or new.title <> old.title then
    new.author := new.changed_by;
  end if;
  if tg_op = 'INSERT' or (new.room, new.status) <> (old.room, old.status) then
    new.position := (select coalesce(max(position), 0) + 1 from board.tasks where room = new.room);
  end if;
  return new;
end $$;
create trigger complete_task before insert or update on board.tasks for each row execute function board.complete_task();

create function board.announce_room() returns trigger language plpgsql as $$
begin
  perform pylon_sse.publish(
    jsonb_strip_nulls(jsonb_build_object(
      'name', new.name, 'title', new.title, 'members', new.members, 'creator', new.creator)),
    event => 'room', topic => topic)
  from unnest(new.audience) topic;
  return null;
end $$;
create trigger announce_room after insert on board.rooms for each row execute function board.announce_room();

-- The processes of the app that have clients. Each reports from time to time; the others remove one that has fallen silent.
create unlogged table board.processes (
  id text primary key,
  seen_at timestamptz not null default clock_timestamp()
);

-- The streams that are open to rooms.
create unlogged table board.visitors (
  client uuid primary key,
  room text not null references board.rooms on delete cascade,
  person text not null,
  -- With a process go its visitors. A last report of a process that was killed is refused if it comes after that.
  process text not null references board.processes on delete cascade
);
create index on board.visitors (process);

create function board.announce_people() returns trigger language plpgsql as $$
begin
  -- One report at a time: of two at once, neither would see what the other changes. The next statement sees what was committed.
  perform pg_advisory_xact_lock('board.visitors'::regclass::oid::bigint);
  perform pylon_sse.publish(
    jsonb_build_object('people', array(select distinct person from board.visitors v where v.room = r.room order by person)),
    event => 'presence', topic => 'room.' || r.room)
  from (select distinct room from changed) r;
  return null;
end $$;
create trigger announce_arrivals after insert on board.visitors referencing new table as changed
  for each statement execute function board.announce_people();
create trigger announce_departures after delete on board.visitors referencing old table as changed
  for each statement execute function board.announce_people();

insert into board.rooms (name, title) values ('team-a', 'Team A'), ('team-b', 'Team B');
