// node bench/rows.mjs FILE: measures the rows of one file and prints them as JSON.
const { rows } = await import(`./${process.argv[2]}.mjs`)
process.stdout.write(JSON.stringify(rows()))
