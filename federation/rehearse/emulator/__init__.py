"""Extensions of ministack that a federation needs: one capability per file.

`plugin.install` registers them. The rest of the product imports nothing of this package: it runs in the
emulator's own process (``__main__``).
"""
