-- The directory as pathways remembers it. `body` is the JSON of the contract; the topics are told from it.
create table services (
    service_id text primary key,
    version integer not null check (version > 0),
    active boolean not null,
    body text not null
);

create table desks (
    organisation text primary key,
    version integer not null check (version > 0),
    body text not null
);
