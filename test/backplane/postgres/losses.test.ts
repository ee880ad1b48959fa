import t from 'tap'
import { testLosses } from '../../kit/engine-losses.js'
import { postgresEngine } from '../../kit/postgres-engine.js'

testLosses(t, postgresEngine)
