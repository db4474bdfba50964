-- The open postcode table that a site has loaded: whole postcodes and outcodes, without blanks, in degrees (WGS 84).
create table places (
    code text primary key,
    latitude double precision not null,
    longitude double precision not null
);
