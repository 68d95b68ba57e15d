-- Which server keys a server holds: no key mints before every server does.
ALTER TABLE servers ADD COLUMN kids text[] NOT NULL DEFAULT '{}' CHECK (array_position(kids, NULL) IS NULL);
