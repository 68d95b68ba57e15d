DROP TABLE histories;
DROP TABLE revisions;
