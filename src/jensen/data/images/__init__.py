"""Images: files of any mode and size as rows of one shape, decoded once into a memory-mapped array.

`folder` finds them, and their labels, `decode` brings one to a size and to grey or colour, `prepared` does so
for all of them and keeps the result in the cache, and `checks` refuses those of which no rows can be made.
"""
