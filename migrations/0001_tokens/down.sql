DROP TABLE token_last_uses;
DROP TABLE tokens;
DROP TABLE workspaces;
