-- An attempt with its answer is some 5 kB. Packing it costs more than storing it: only what does not fit into a page is.
alter table attempts set (toast_tuple_target = 8160);
