class Source:
    def __init__(self,*a): pass
