import t from 'tap'
import { testLosses } from './kit/engine-losses.js'
import { redisEngine } from './kit/redis-engine.js'

testLosses(t, redisEngine)
