A pattern                                                               PATTERN 
             2             1             1             0
pua                        2             3             3             0
(10I3)          (10I3)          
  1  2  2  4
  2  1  2
