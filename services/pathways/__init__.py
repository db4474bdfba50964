"""Pathways: who could take the patient, in which order, and why; and the directory that says so.

Owns the ranking of services and the directory: services and desks, each entry under a version.
Reads `triage` and, of `referrals`, what asks for a further placement; follows `services` and `capacity` for its index
in memory, and `diaries` for what a lookup shows. Tells `booking.requested`, one for each referral that was triaged and
one for each further placement, and `service.listed`, `desk.listed` and `capacity.reported`. Remembers the directory and
every capacity report. Ranking uses the index alone.

How a search goes: `request.SearchRequest` says what is asked; `search.search(snapshot, request)` and
`search.search_many(snapshot, requests)` answer it with `search.Ranked`, and for less
`search.places_of_many(snapshot, requests)` with the candidates' ids and distances alone;
`search.explain(snapshot, request, service_id)` says of any service its place and why, or every criterion that excludes
it. `index.Index.snapshot` is the directory at one moment. `placing` turns a brief into a request, and its answer into
candidates.
"""
