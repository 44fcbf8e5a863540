"""Extensions of ministack that a federation needs: one capability per file.

`plugin.install` registers them. Nothing here is imported by the rest of the product: it runs in the
emulator's own process (``__main__``).
"""
