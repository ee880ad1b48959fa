import t from 'tap'
import { testLosses } from '../../kit/engine-losses.js'
import { natsEngine } from '../../kit/nats-engine.js'

testLosses(t, natsEngine)
