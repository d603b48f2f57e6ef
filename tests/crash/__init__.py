"""The crash test: real processes are killed and stopped in the middle of their work; nothing may be lost.

`harness` plays one run, `vendors` misbehave, `invariants` compares what they hold with what the hub believes.
Nothing in `core` knows of it: the processes wrap functions of the flow at named `points` after they were forked.
"""
