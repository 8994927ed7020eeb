// An empty Node: what every process pays. Prints its peak memory in KiB.
process.stdout.write(String(process.resourceUsage().maxRSS))
