"""What plain ministack lacks for a federation, one capability a file, registered by `plugin.install`.

Nothing here is imported by the rest of the product: it runs in the emulator's own process (``__main__``).
"""
