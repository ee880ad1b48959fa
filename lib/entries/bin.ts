#!/usr/bin/env node
/** The program behind the package's `bin`. The command itself is in cli.ts, which tests import without running it. */
import { main } from './cli.js'

process.exitCode = await main(process.argv.slice(2))
