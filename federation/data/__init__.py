"""Tables: read, checked, made up and prepared; neither models nor AWS."""
