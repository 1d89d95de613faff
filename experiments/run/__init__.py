"""Running configs: `command` is what the command line calls; below it a trainer that stores, its folder and shards."""
