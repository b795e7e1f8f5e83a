INSERT INTO events (operation, version, run, type, time, data)
SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL
