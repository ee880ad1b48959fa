import t from 'tap'
import { testBackplane } from '../../kit/backplane-faults.js'
import { natsEngine } from '../../kit/nats-engine.js'

testBackplane(t, natsEngine)
