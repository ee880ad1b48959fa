import t from 'tap'
import { testBackplane } from '../../kit/backplane-faults.js'
import { postgresEngine } from '../../kit/postgres-engine.js'

testBackplane(t, postgresEngine)
